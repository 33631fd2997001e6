// The bill of materials of a Debian package, as SPDX 2.3 JSON: node packaging/sbom.mjs FILE.deb WEB LLHTTP OUT
//
// Every file of the package with its checksums; the libraries that the program is linked to, in the versions that it was
// built with; and what is compiled into it: llhttp (LLHTTP: its version, or "system" where that is a library, too) and
// the packages of WEB/package-lock.json. The same package gives the same bytes.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

// What SPDX calls the licences of the libraries; Debian's copyright files are prose.
const LICENCES = {
    libc6: 'LGPL-2.1-or-later',
    libcurl4: 'curl',
    libjansson4: 'MIT',
    libssl3: 'Apache-2.0',
    libsystemd0: 'LGPL-2.1-or-later',
    libuv1: 'MIT',
    zlib1g: 'Zlib',
};

const run = (...argv) => execFileSync(argv[0], argv.slice(1), { encoding: 'utf8' });
const digest = (algorithm, bytes) => createHash(algorithm).update(bytes).digest('hex');
const id = (...parts) => `SPDXRef-${parts.join('-').replace(/[^A-Za-z0-9.-]+/g, '-')}`;
const checksums = (bytes) => [
    { algorithm: 'SHA1', checksumValue: digest('sha1', bytes) },
    { algorithm: 'SHA256', checksumValue: digest('sha256', bytes) },
];
const purl = (locator) => [
    { referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: locator },
];

function filesIn(folder, root = folder) {
    return readdirSync(folder)
        .sort()
        .flatMap((name) => {
            const path = join(folder, name);
            const what = lstatSync(path);
            if (what.isDirectory()) {
                return filesIn(path, root);
            }
            if (!what.isFile()) {
                return [];
            }
            const fileName = `./${relative(root, path)}`;
            return [
                {
                    SPDXID: id('File', fileName.slice(2)),
                    fileName,
                    checksums: checksums(readFileSync(path)),
                    licenseConcluded: 'NOASSERTION',
                    copyrightText: 'NOASSERTION',
                },
            ];
        });
}

// Debian's packages of the libraries that the program names, apart from the loader's.
function librariesOf(program, architecture) {
    const names = [...run('readelf', '-dW', program).matchAll(/\(NEEDED\).*\[(.+)\]/g)].map((match) => match[1]);
    const packages = names.map((name) => {
        const owners = run('dpkg-query', '-S', `*/${name}`)
            .split('\n')
            .filter((line) => line.endsWith(`/${name}`))
            .map((line) => line.split(': ')[0]);
        const owner = owners.find((one) => one.endsWith(`:${architecture}`)) ?? owners[0];
        if (!owner) {
            throw new Error(`${name}: of no Debian package`);
        }
        return owner;
    });
    return [...new Set(packages)].sort().map((owner) => {
        const [name, version, home] = run('dpkg-query', '-W', '-f', '${Package}\n${Version}\n${Homepage}', owner).split('\n');
        const licence = LICENCES[name];
        if (!licence) {
            throw new Error(`${name}: packaging/sbom.mjs does not know its licence`);
        }
        return {
            SPDXID: id('Package', name),
            name,
            versionInfo: version,
            downloadLocation: 'NOASSERTION',
            ...(home ? { homepage: home } : {}),
            filesAnalyzed: false,
            licenseConcluded: 'NOASSERTION',
            licenseDeclared: licence,
            copyrightText: 'NOASSERTION',
            externalRefs: purl(`pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`),
        };
    });
}

function llhttp(version) {
    return {
        SPDXID: id('Package', 'llhttp'),
        name: 'llhttp',
        versionInfo: version,
        downloadLocation: `git+https://github.com/nodejs/llhttp@v${version}`,
        filesAnalyzed: false,
        licenseConcluded: 'NOASSERTION',
        licenseDeclared: 'MIT',
        copyrightText: 'NOASSERTION',
        externalRefs: purl(`pkg:github/nodejs/llhttp@v${version}`),
    };
}

function webPackages(web) {
    const lock = JSON.parse(readFileSync(join(web, 'package-lock.json'), 'utf8'));
    return Object.entries(lock.packages)
        .filter(([path]) => path !== '')
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([path, { version, integrity }]) => {
            const about = JSON.parse(readFileSync(join(web, path, 'package.json'), 'utf8'));
            const licence = join(web, path, 'LICENSE');
            const holder = existsSync(licence) && readFileSync(licence, 'utf8').match(/^Copyright .*$/m);
            const [algorithm, hash] = integrity.split('-');
            return {
                SPDXID: id('Package', 'npm', about.name),
                name: about.name,
                versionInfo: version,
                downloadLocation: 'NOASSERTION',
                filesAnalyzed: false,
                checksums: [
                    { algorithm: algorithm.toUpperCase(), checksumValue: Buffer.from(hash, 'base64').toString('hex') },
                ],
                licenseConcluded: 'NOASSERTION',
                licenseDeclared: about.license,
                copyrightText: holder ? holder[0] : 'NOASSERTION',
                externalRefs: purl(`pkg:npm/${about.name.replace('@', '%40')}@${version}`),
            };
        });
}

function billOf(deb, root, web, llhttpVersion) {
    const field = (name) => run('dpkg-deb', '-f', deb, name).trim();
    const [name, version, architecture] = ['Package', 'Version', 'Architecture'].map(field);
    const bytes = readFileSync(deb);
    const files = filesIn(root);
    const linked = librariesOf(join(root, 'usr/bin/davenport'), architecture);
    const within = [...(llhttpVersion === 'system' ? [] : [llhttp(llhttpVersion)]), ...webPackages(web)];
    const self = id('Package', name);
    const program = id('File', 'usr/bin/davenport');
    const relation = (from, relationshipType, to) => ({
        spdxElementId: from,
        relationshipType,
        relatedSpdxElement: to,
    });
    // The time is the one that cpack gave the files.
    const list = run('sh', '-c', 'dpkg-deb --fsys-tarfile "$1" | TZ=UTC tar -tv --full-time', 'sh', deb);
    const [, day, clock] = list.match(/(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)/);
    return {
        spdxVersion: 'SPDX-2.3',
        dataLicense: 'CC0-1.0',
        SPDXID: 'SPDXRef-DOCUMENT',
        name: `${name}_${version}_${architecture}`,
        documentNamespace: `https://davenport.invalid/spdx/${name}_${version}_${architecture}-${digest('sha256', bytes)}`,
        creationInfo: { created: `${day}T${clock}Z`, creators: [`Tool: davenport-sbom-${version}`] },
        documentDescribes: [self],
        packages: [
            {
                SPDXID: self,
                name,
                versionInfo: version,
                packageFileName: `./${deb.split('/').pop()}`,
                supplier: 'NOASSERTION',
                downloadLocation: 'NOASSERTION',
                filesAnalyzed: true,
                packageVerificationCode: {
                    packageVerificationCodeValue: digest(
                        'sha1',
                        files.map((file) => file.checksums[0].checksumValue).sort().join(''),
                    ),
                },
                checksums: checksums(bytes),
                licenseConcluded: 'NOASSERTION',
                licenseDeclared: 'Apache-2.0',
                copyrightText: "Davenport's authors",
                primaryPackagePurpose: 'APPLICATION',
                externalRefs: purl(`pkg:deb/${name}@${version}?arch=${architecture}`),
            },
            ...linked,
            ...within,
        ],
        files,
        relationships: [
            relation('SPDXRef-DOCUMENT', 'DESCRIBES', self),
            ...files.map((file) => relation(self, 'CONTAINS', file.SPDXID)),
            ...linked.map((one) => relation(program, 'DYNAMIC_LINK', one.SPDXID)),
            ...linked.map((one) => relation(self, 'DEPENDS_ON', one.SPDXID)),
            ...within.map((one) => relation(program, 'CONTAINS', one.SPDXID)),
        ],
    };
}

const [deb, web, llhttpVersion, out] = process.argv.slice(2);
if (!out) {
    console.error('usage: node packaging/sbom.mjs FILE.deb WEB LLHTTP OUT');
    process.exit(2);
}
const root = mkdtempSync(join(tmpdir(), 'davenport-sbom-'));
try {
    run('dpkg-deb', '-x', deb, root);
    writeFileSync(out, `${JSON.stringify(billOf(deb, root, web, llhttpVersion), null, 2)}\n`);
} finally {
    rmSync(root, { recursive: true });
}
