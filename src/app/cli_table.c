/* The command line's table: every command with its options, the exit codes, the variables. Help, completion and the manual
 * page are made of it. */
#include "app/cli.h"

#define CONFIG_OPTION                                                                              \
    {                                                                                              \
        "config", 'c', "FILE",                                                                     \
            "configuration file; - is stdin (default: the built-in demonstration)"                 \
    }
#define ADMIN_OPTION                                                                               \
    {                                                                                              \
        "admin", 'a', "ADDR",                                                                      \
            "where the proxy's operators connect: unix:PATH, 127.0.0.1:8985, https://HOST:PORT"    \
    }
#define ADMIN_OPTIONS                                                                              \
    ADMIN_OPTION, ADMIN_CONFIG_OPTION,                                                             \
        {"token-file", 0, "FILE", "who we are there: the file that holds a token"},                \
    {                                                                                              \
        "ca", 0, "FILE", "https: whom to trust instead of the system's authorities"                \
    }
#define ADMIN_CONFIG_OPTION                                                                        \
    {                                                                                              \
        "config", 'c', "FILE", "take the address from this configuration (admin.listen)"           \
    }
#define JSON_OPTION                                                                                \
    {                                                                                              \
        "json", 'j', NULL, "JSON for programs"                                                     \
    }

#define ORDER_OPTIONS                                                                              \
    ADMIN_OPTIONS, JSON_OPTION, {"reason", 'm', "TEXT", "why, for the journal"},                   \
        {"epoch", 'e', "N", "only if the epoch is still N (davenport status shows it)"},           \
    {                                                                                              \
        "dry-run", 'n', NULL, "tell what would change, and change nothing"                         \
    }
#define TTL_OPTION                                                                                 \
    {                                                                                              \
        "ttl", 't', "TIME", "it ends by itself after 90s, 10m, 1h, 2d"                             \
    }
#define FORCE_OPTION                                                                               \
    {                                                                                              \
        "force", 'f', NULL, "override the rules; the journal says which"                           \
    }

#define ORDER_TEXT                                                                                 \
    "Exit code 4: a rule refused it (or would, with --dry-run); 5: the epoch has "                 \
    "moved.\n" ADMIN_TEXT
#define ADMIN_TEXT                                                                                 \
    "Without --admin and -c, the address is $DAVENPORT_ADMIN, else /run/davenport/admin.sock "     \
    "where\n"                                                                                      \
    "that is, else 127.0.0.1:8985.\n"

/* clang-format off */
const struct dp_cli_command dp_cli_commands[] = {
    {
        .name = "serve", .args = "", .run = dp_cli_serve,
        .summary = "run the proxy",
        .text =
            "Runs in the foreground until SIGTERM or SIGINT, then finishes what is under way; a second\n"
            "signal ends it at once. Logs to stderr, a JSON object a line; the line \"ready\" tells\n"
            "where it listens. Without -c it stands in front of two local regions, as scripts/demo\n"
            "starts them (davenport check --print shows that configuration).\n\n"
            "  davenport serve -c /etc/davenport/davenport.json\n",
        .options = {
            CONFIG_OPTION,
            {"port-file", 0, "FILE", "write the bound addresses there as JSON once it listens"},
            {"ready-fd", 0, "N", "write the same to this file descriptor and close it"},
        },
    },
    {
        .name = "check", .args = "", .run = dp_cli_check,
        .summary = "check a configuration; tells all problems at once",
        .text =
            "Each problem is a line \"FILE: key.path: reason\". References ${env:NAME} and ${file:PATH}\n"
            "are read and TLS files tried, so run it as the proxy will run. Names are looked up only\n"
            "with --resolve.\n\n"
            "  davenport check -c davenport.json\n"
            "  davenport check -c davenport.json --print     with every default, without secrets\n",
        .options = {
            CONFIG_OPTION,
            {"print", 'p', NULL, "print what is in effect as JSON; secrets are hidden"},
            {"resolve", 'r', NULL, "look the regions' host names up, too"},
            JSON_OPTION,
        },
    },
    {
        .name = "schema", .args = "", .run = dp_cli_schema,
        .summary = "print the JSON schema of the configuration",
        .text =
            "For editors: \"$schema\": \"./davenport.schema.json\" as a configuration's first key.\n\n"
            "  davenport schema >davenport.schema.json\n",
    },
    {
        .name = "status", .args = "", .run = dp_cli_status,
        .summary = "show where traffic goes, and why",
        .text =
            "A line for each region; > marks the one that takes the traffic. REQUESTS are attempts made\n"
            "there, FAILED those that speak against it, late ones too.\n"
            "With --ready: exit code 0 while it takes requests and has a region for them, else 1\n"
            "(3: nobody answers), for probes that can't reach /readyz.\n" ADMIN_TEXT "\n"
            "  davenport status\n"
            "  davenport status --ready\n"
            "  davenport status --watch\n"
            "  davenport status --json | jq -r .active\n",
        .options = {
            ADMIN_OPTIONS, JSON_OPTION,
            {"watch", 'w', NULL, "again every second, until Ctrl-C"},
            {"ready", 'r', NULL, "only whether it can serve, and if not, why"},
            {"names", 0, NULL, "only the regions' names, a line each"},
        },
    },
    {
        .name = "top", .args = "", .run = dp_cli_top,
        .summary = "watch rates, regions and the journal live",
        .text =
            "Once a second, over the whole terminal: requests and answers a second, each region's share of them,\n"
            "its failures and latency, and the latest lines of the journal. Keys: q quits, s sorts by another\n"
            "column, space asks at once. A proxy that goes away is waited for.\n"
            "With --json: a line a second with the same rates, on no terminal too.\n" ADMIN_TEXT "\n"
            "  davenport top\n"
            "  davenport top --json --count 2 | tail -1 | jq .requests_per_s\n",
        .options = {
            ADMIN_OPTIONS, JSON_OPTION,
            {"count", 'n', "N", "with --json: end after so many lines"},
        },
    },
    {
        .name = "explain", .args = "", .run = dp_cli_explain,
        .summary = "why traffic is where it is, and what comes next",
        .text =
            "What was decided and ordered, who takes over next, and each region's evidence: how much\n"
            "speaks against it, and how much more it takes.\n" ADMIN_TEXT "\n"
            "  davenport explain\n",
        .options = {ADMIN_OPTIONS, JSON_OPTION},
    },
    {
        .name = "switch", .args = "REGION", .min_args = 1, .max_args = 1, .run = dp_cli_order,
        .summary = "send the traffic to a region, and keep it there",
        .text =
            "The traffic is pinned there: no failback undoes it, but it leaves if the region is lost.\n"
            "Also ends a manual failover: switch back to the preferred region. When --ttl is over the\n"
            "pin ends and the rules decide again: with failback.mode hold_down the traffic returns.\n"
            "Refused if the region is drained, down or draining, or if the last move is younger than\n"
            "safety.dwell_ms; --force overrides all but the drain.\n" ORDER_TEXT "\n"
            "  davenport switch eu-de --dry-run\n"
            "  davenport switch eu-de --reason 'data caught up'\n"
            "  davenport switch us-south --ttl 1h --reason drill\n",
        .options = {ORDER_OPTIONS, TTL_OPTION, FORCE_OPTION},
    },
    {
        .name = "drain", .args = "REGION", .min_args = 1, .max_args = 1, .run = dp_cli_order,
        .summary = "take a region out of service until it is resumed",
        .text =
            "It takes no request any more, not even as a last resort, and no restart forgets that (with\n"
            "journal.path). If it had the traffic, the best other region takes over. Refused if fewer\n"
            "than safety.min_regions would be left that serve, or if traffic would move within\n"
            "safety.dwell_ms of the last move; --force overrides both.\n" ORDER_TEXT "\n"
            "  davenport drain eu-de --dry-run\n"
            "  davenport drain eu-de --reason 'kernel update' --ttl 2h\n",
        .options = {ORDER_OPTIONS, TTL_OPTION, FORCE_OPTION},
    },
    {
        .name = "resume", .args = "REGION", .min_args = 1, .max_args = 1, .run = dp_cli_order,
        .summary = "end the drain of a region",
        .text =
            "It is probed all along, so it stands by at once, held for failback.hold_down_ms since it\n"
            "lacks what was written meanwhile. To send it the traffic now: davenport switch.\n" ORDER_TEXT "\n"
            "  davenport resume eu-de\n",
        .options = {ORDER_OPTIONS},
    },
    {
        .name = "freeze", .args = "", .run = dp_cli_order,
        .summary = "let nothing move the traffic by itself",
        .text =
            "No failback and no failover, not even away from a region that goes dark: there, requests\n"
            "that may be sent twice are still tried in the other regions, one by one. Operators' orders\n"
            "go on. Use --ttl, so that a forgotten freeze ends.\n" ORDER_TEXT "\n"
            "  davenport freeze --ttl 30m --reason 'network change'\n",
        .options = {ORDER_OPTIONS, TTL_OPTION},
    },
    {
        .name = "unfreeze", .args = "", .run = dp_cli_order,
        .summary = "end a freeze; the rules decide again, at once",
        .text = ORDER_TEXT "\n  davenport unfreeze\n",
        .options = {ORDER_OPTIONS},
    },
    {
        .name = "approve", .args = "REGION", .min_args = 1, .max_args = 1, .run = dp_cli_order,
        .summary = "allow traffic to return to a region",
        .text =
            "With failback.mode gated and \"approval\" among failback.conditions, traffic returns only to\n"
            "a region that was approved, and when its other conditions are met: davenport explain names\n"
            "them. It holds for one return, until the region is lost again, or for --ttl.\n" ORDER_TEXT "\n"
            "  davenport approve eu-de --reason 'data compared' --ttl 1h\n",
        .options = {ORDER_OPTIONS, TTL_OPTION},
    },
    {
        .name = "revoke", .args = "REGION", .min_args = 1, .max_args = 1, .run = dp_cli_order,
        .summary = "take an approval back",
        .text = ORDER_TEXT "\n  davenport revoke eu-de\n",
        .options = {ORDER_OPTIONS},
    },
    {
        .name = "fault", .args = "REGION KIND", .min_args = 2, .max_args = 2, .run = dp_cli_fault,
        .summary = "have a region fail on purpose for a while: a drill",
        .text =
            "KIND is dark (what is sent there vanishes), refused (no connection), slow (answers begin\n"
            "--delay-ms later) or flaky (connections are reset). Requests that are sent there meet it, probes\n"
            "too unless it is for --databases; so what follows is what a real loss brings. Another one in the\n"
            "same region takes its place. It ends with --for, with davenport heal, or when the proxy ends.\n"
            "Refused unless the configuration has drills.allowed; at most drills.max_ms long.\n"
            "Exit code 4: refused.\n" ADMIN_TEXT "\n"
            "  davenport fault eu-de dark --for 30s --reason 'quarterly drill'\n"
            "  davenport fault eu-de slow --delay-ms 800 --for 2m\n"
            "  davenport fault eu-de flaky --share 20 --databases 'orders*,ledger' --for 1m\n",
        .options = {
            ADMIN_OPTIONS, JSON_OPTION,
            {"for", 'f', "TIME", "it ends by itself after 30s, 5m, 1h; always needed"},
            {"delay-ms", 'd', "MS", "of slow: how much later answers begin"},
            {"share", 's', "PERCENT", "so many of the attempts only (default 100)"},
            {"databases", 'b', "NAMES", "requests of these only, with commas between: 'orders*,ledger'"},
            {"reason", 'm', "TEXT", "why, for the journal"},
        },
    },
    {
        .name = "heal", .args = "[REGION]", .max_args = 1, .run = dp_cli_heal,
        .summary = "end the fault of a region, or all faults",
        .text =
            "The region is trusted again as one that was really lost: after good probes, trials and its hold.\n" ADMIN_TEXT "\n"
            "  davenport heal\n",
        .options = {ADMIN_OPTIONS, JSON_OPTION},
    },
    {
        .name = "reload", .args = "", .run = dp_cli_reload,
        .summary = "read the configuration again, without dropping a connection",
        .text =
            "As SIGHUP does, but waits for the outcome and prints it. The whole file is read and checked, its\n"
            "files are tried and new names looked up; then all of it is in force, or, if there is any problem\n"
            "or a key changed that needs a restart (davenport help config says which), nothing is.\n"
            "Exit code 4: refused.\n" ADMIN_TEXT "\n"
            "  davenport check -c davenport.json && davenport reload\n",
        .options = {ADMIN_OPTIONS, JSON_OPTION},
    },
    {
        .name = "upgrade", .args = "", .run = dp_cli_upgrade,
        .summary = "replace the running program by the one that is installed now",
        .text =
            "Put the new program in place of the old one's file first (as packages do). It is asked to check the\n"
            "configuration, started, and given the listening sockets and the state; then the old process finishes\n"
            "what it has begun. No application's request fails by it. If the new one can't start, the old one\n"
            "stays the service. Sends SIGUSR2, so it needs the proxy's user or root, on its machine; waits and tells\n"
            "how it ended.\n"
            "Exit code 4: the new program could not take over. docs/upgrade.md.\n" ADMIN_TEXT "\n"
            "  davenport upgrade -c /etc/davenport/davenport.json\n",
        .options = {ADMIN_OPTIONS, JSON_OPTION},
    },
    {
        .name = "events", .args = "", .run = dp_cli_events,
        .summary = "show the latest entries of the journal",
        .text =
            "Every change of state and every order, with what was seen, which threshold it met, and who\n"
            "did it. With journal.path also those before the last restart.\n" ADMIN_TEXT "\n"
            "  davenport events\n"
            "  davenport events --follow\n"
            "  davenport events --since 41 --json | jq -c 'select(.event == \"failover\")'\n",
        .options = {
            ADMIN_OPTIONS,
            {"json", 'j', NULL, "JSON for programs, an object a line"},
            {"lines", 'n', "N", "at most so many (default 20; 256 with --since)"},
            {"since", 's', "EPOCH", "from this epoch on"},
            {"follow", 'F', NULL, "go on as they come, until Ctrl-C"},
        },
    },
    {
        .name = "drill", .args = "PLAN", .min_args = 1, .max_args = 1, .run = dp_cli_drill,
        .summary = "load the proxy, break a region, and judge what came of it",
        .text =
            "Runs the load of the plan (- is stdin) through a proxy, breaks and heals what its steps say, looks\n"
            "every write up in every region afterwards, and judges it against the plan's objectives. Whatever was\n"
            "begun is undone: at the end, when a limit of the plan is crossed, on Ctrl-C, and by a process beside\n"
            "it when the drill itself dies. Plans: conf/drills; all keys: davenport help plan; docs/drills.md.\n\n"
            "Exit code 0: passed; 1: an objective was missed; 2: a wrong command line or plan; 4: refused, see\n"
            "--i-own-this; 6: aborted by a limit of the plan; 7: it could not be carried out; 8: something could not\n"
            "be undone; 130: interrupted.\n\n"
            "  davenport drill conf/drills/region-kill.json --check\n"
            "  davenport drill conf/drills/region-kill.json -o /tmp/drill\n",
        .options = {
            {"output", 'o', "FOLDER", "for report.html, result.json, hooks.log (default: drill-TIME)"},
            {"check", 'n', NULL, "tell what the plan would do, and do nothing"},
            {"json", 'j', NULL, "print the result as JSON"},
            {"i-own-this", 0, "HOST", "allow a drill that reaches these hosts, with commas between"},
            {"max-rate", 0, "N", "refuse a load of more requests/s (default: 200 with --i-own-this)"},
        },
    },
    {
        .name = "hash-password", .args = "", .run = dp_cli_hash_password,
        .summary = "hash a password for clients.users",
        .text =
            "Reads it from the terminal, twice and unseen, or one line from stdin, and prints what stands in\n"
            "clients.users.NAME.password: PBKDF2 with HMAC-SHA-256, or scrypt, with a salt of its own.\n\n"
            "  davenport hash-password\n"
            "  pass show couch/ann | davenport hash-password --scrypt\n",
        .options = {
            {"scrypt", 's', NULL, "scrypt (32 MiB of memory for each verification) instead of PBKDF2"},
            JSON_OPTION,
        },
    },
    {
        .name = "token", .args = "", .run = dp_cli_token,
        .summary = "make a token that lets an operator, or monitoring, in over TCP",
        .text =
            "Prints the token, which is not kept anywhere, and its hash, which goes into admin.tokens of the\n"
            "configuration. With --output the token goes into a file of mode 0600 and nowhere else.\n\n"
            "  davenport token --output ~/.davenport-token\n"
            "  davenport status --admin https://ops.example:8985 --token-file ~/.davenport-token\n",
        .options = {
            {"output", 'o', "FILE", "write the token there instead; the file must not exist"},
            JSON_OPTION,
        },
    },
    {
        .name = "load", .args = "URL", .min_args = 1, .max_args = 1, .run = dp_cli_load,
        .summary = "ask a server at a steady rate, and tell how it answered",
        .text =
            "An open loop: requests are due at set times whatever became of those before, and each one's\n"
            "latency counts from when it was due. So a server that stalls is charged with all that had to\n"
            "wait. Without --database every request is the one of URL. With it they are those of an\n"
            "application of CouchDB: --documents documents are made and then read and written by --mix,\n"
            "a revision after the other; what was written stays there (ids drill-…). The database exists; find needs\n"
            "an index on \"bucket\", view the view drill/by_bucket (davenport drill makes them).\n"
            "Exit code 3: nobody answers; 4: refused, see --i-own-this and --max-rate. Failed requests are counted, and no failure of the command.\n\n"
            "  davenport load --rate 200 --seconds 30 http://127.0.0.1:8984/demo/hello\n"
            "  davenport load --database demo --mix get=60,put=30,post=10 --longpoll 1 http://127.0.0.1:8984\n"
            "  davenport load --rate 2000 --ramp 10 --json http://127.0.0.1:8984/_up | jq .p99_ms\n",
        .options = {
            {"rate", 'r', "N", "requests a second (100)"},
            {"seconds", 's', "S", "at that rate (10)"},
            {"ramp", 0, "S", "before it from 0 to that rate (0)"},
            {"warmup", 0, "S", "before all, and not counted (0)"},
            {"connections", 'c', "N", "kept open, used in turn (64)"},
            {"timeout", 't', "MS", "from when a request was due to its whole answer (10000)"},
            {"database", 'd', "NAME", "load that of an application, in this database"},
            {"mix", 'm', "MIX", "get=N,put=N,post=N,bulk=N,find=N,view=N,attachment=N: their shares"},
            {"documents", 0, "N", "to read and write; more than connections (500)"},
            {"document-bytes", 0, "N", "of each (256)"},
            {"attachment-bytes", 0, "N", "of each (4096)"},
            {"longpoll", 0, "N", "followers of the changes, beside the load (0)"},
            {"continuous", 0, "N", "the same with continuous feeds (0)"},
            {"method", 'X', "M", "without --database (GET)"},
            {"body-bytes", 0, "N", "of each request, without --database (0)"},
            {"headers", 'H', "FILE", "more lines for each request's head; - is stdin"},
            {"user", 'u', "NAME", "Basic; the password is $DAVENPORT_LOAD_PASSWORD"},
            {"unix", 0, "PATH", "connect to this socket, whatever the URL's host is"},
            {"ca", 0, "FILE", "https: whom to trust instead of the system's authorities"},
            {"insecure", 'k', NULL, "https: trust any certificate"},
            {"seed", 0, "N", "the same, the same order of kinds and documents (0)"},
            {"tick-us", 0, "US", "what became due meanwhile is sent this often (200)"},
            {"i-own-this", 0, "HOST", "needed for a host that is not this machine"},
            {"max-rate", 0, "N", "refuse more requests/s (default: 200 with --i-own-this)"},
            {"json", 'j', NULL, "JSON for programs"},
        },
    },
    {
        .name = "relay", .args = "", .run = dp_cli_relay,
        .summary = "pass TCP on to a server, and fail when told to",
        .text =
            "For drills: put it between the proxy and a region, and break that way on purpose. It knows\n"
            "nothing of what passes. Faults come by its admin address (docs/relay.md): PUT /fault with\n"
            "{\"kind\":\"latency\",\"ms\":800,\"for_ms\":60000}, DELETE /fault, GET /. Kinds: latency,\n"
            "bandwidth, slice, blackhole, cut, half_open, reset, refuse.\n\n"
            "  davenport relay --listen 127.0.0.1:7001 --to 127.0.0.1:15984 --admin 127.0.0.1:9001\n"
            "  curl -X PUT -H 'Davenport-Admin: 1' -d '{\"kind\":\"blackhole\"}' http://127.0.0.1:9001/fault\n"
            "  curl -X DELETE -H 'Davenport-Admin: 1' http://127.0.0.1:9001/fault\n",
        .options = {
            {"listen", 'l', "IP:PORT", "where it takes connections (127.0.0.1:0, a free port)"},
            {"to", 't', "HOST:PORT", "whom it passes them to; looked up once"},
            {"admin", 'a', "ADDR", "where faults are told: 127.0.0.1:9001 or unix:PATH (a free port)"},
            {"fault", 0, "JSON", "one that is there from the beginning"},
            {"connections", 0, "N", "at most, one more is reset (1024)"},
            {"buffer-bytes", 0, "N", "of one connection and way, that may wait here (1048576)"},
            {"port-file", 0, "FILE", "write the bound addresses there as JSON once it listens"},
            JSON_OPTION,
        },
    },
    {
        .name = "report", .args = "RESULT", .min_args = 1, .max_args = 1, .run = dp_cli_report,
        .summary = "make the page of a drill's result",
        .text =
            "RESULT is the JSON that a drill wrote (- is stdin). The page is one HTML file that needs\n"
            "nothing else: open it, print it, send it. It holds the result, so that it can be had back.\n\n"
            "  davenport report drill.json --output drill.html\n",
        .options = {{"output", 'o', "FILE", "write it there (default, and -: stdout)"}},
    },
    {
        .name = "completion", .args = "bash|zsh", .min_args = 1, .max_args = 1, .run = dp_cli_completion,
        .summary = "print the script that completes this command line in a shell",
        .text =
            "Commands, their options and files; made of the same table as this help.\n\n"
            "  . <(davenport completion bash)\n"
            "  davenport completion zsh >/usr/local/share/zsh/site-functions/_davenport\n",
    },
    {
        .name = "version", .args = "", .run = dp_cli_version,
        .summary = "print the version",
        .text = "  davenport version --json | jq -r .version\n",
        .options = {JSON_OPTION},
    },
    {
        .name = "help", .args = "[COMMAND|config|metrics|plan]", .max_args = 1, .run = dp_cli_help,
        .summary = "explain a command, every key of the configuration or of a drill's plan, every metric",
        .text =
            "With --json: all commands with their options, the exit codes and the variables, for programs.\n\n"
            "  davenport help serve\n  davenport help config\n  davenport help metrics\n  davenport help plan\n"
            "  davenport help config --man | man -l -\n",
        .options = {JSON_OPTION, {"man", 0, NULL, "the manual page davenport(1); with config: davenport.json(5)"}},
    },
};
/* clang-format on */

const size_t dp_cli_n_commands = DP_ARRAY_LEN(dp_cli_commands);

const struct dp_cli_exit dp_cli_exits[] = {
    {DP_EXIT_OK, "done"},
    {DP_EXIT_FAILED,
     "failed: a bad configuration, an unknown region, a start that did not succeed, "
     "an objective of a drill that was missed"},
    {DP_EXIT_USAGE, "a wrong command line or a wrong plan"},
    {DP_EXIT_UNREACHABLE, "no proxy answers"},
    {DP_EXIT_REFUSED, "refused by a rule (with --dry-run: it would be), or not allowed"},
    {DP_EXIT_EPOCH, "the epoch has moved (--epoch)"},
    {DP_EXIT_ABORTED, "drill: aborted by a limit of its plan"},
    {DP_EXIT_NOT_DONE, "drill: it could not be carried out"},
    {DP_EXIT_NOT_HEALED, "drill: something could not be undone"},
    {DP_EXIT_INTERRUPTED, "drill: interrupted, after what was broken was undone"},
    {0, NULL},
};

const struct dp_cli_variable dp_cli_variables[] = {
    {"DAVENPORT_ADMIN", "where the proxy's operators connect, without --admin and -c"},
    {"DAVENPORT_TOKEN_FILE", "the file that holds the token for it, without --token-file"},
    {"DAVENPORT_CA_FILE", "whom to trust there, without --ca"},
    {"DAVENPORT_LOAD_PASSWORD", "the password of --user for davenport load"},
    {"NO_COLOR", "set, to whatever: no colours"},
    {NULL, NULL},
};
