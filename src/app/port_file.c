/* Writing it, and whose it is. */
#include "app/port_file.h"

#include "davenport/base/log.h"

#include "app/file.h"

#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#define MAX_BYTES 4096

void dp_port_file_text(const char *listen, const char *admin, struct dp_text *out)
{
    json_t *bound =
        json_pack("{s:s, s:s, s:I}", "listen", listen, "admin", admin, "pid", (json_int_t)getpid());
    char *text = json_dumps(bound, JSON_COMPACT);
    dp_text_addf(out, "%s\n", text ? text : "{}");
    free(text);
    json_decref(bound);
}

bool dp_port_file_write(const char *path, const char *event, struct dp_span text)
{
    char why[DP_FILE_WHY];
    enum dp_err err = path ? dp_file_write(path, text, why) : DP_OK;
    if (err != DP_OK) {
        dp_log(DP_LOG_ERROR, event, DP_KV_STR("what", "--port-file"), DP_KV_STR("address", path),
               DP_KV_STR("reason", why));
    }
    return err == DP_OK;
}

static bool names_another(const char *path)
{
    struct dp_text text = {0};
    char why[DP_FILE_WHY];
    json_t *bound = dp_file_read(path, MAX_BYTES, &text, why) == DP_OK
                        ? json_loadb(dp_text_str(&text), text.n, 0, NULL)
                        : NULL;
    const json_t *pid = json_object_get(bound, "pid");
    const bool another = json_is_integer(pid) && json_integer_value(pid) != (json_int_t)getpid();
    json_decref(bound);
    dp_text_fini(&text);
    return another;
}

void dp_port_file_remove(const char *path)
{
    if (path && !names_another(path)) {
        (void)unlink(path);
    }
}
