/* CouchDB tells a wrong password and a right one without rights by the same status: only its words differ. */
#include "davenport/couch/login.h"

#include "davenport/base/attr.h"
#include "davenport/base/base64.h"

#include <string.h>

#include <jansson.h>

static bool holds(struct dp_span body, const char *words)
{
    return body.n > 0 && memmem(body.p, body.n, words, strlen(words)) != NULL;
}

enum dp_couch_login dp_couch_login_said(uint16_t status, struct dp_span body)
{
    static const struct {
        const char *words;
        enum dp_couch_login login;
        uint16_t status;
    } rows[] = {
        {"\"Name or password is incorrect.\"", DP_LOGIN_REFUSED, 401},
        {"\"Account is temporarily locked", DP_LOGIN_REFUSED, 403},
        {"\"You are not a server admin.\"", DP_LOGIN_FINE, 401},
        {"\"You are not a db or server admin.\"", DP_LOGIN_FINE, 401},
        {"\"You are not authorized to access this db.\"", DP_LOGIN_FINE, 401},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        if (status == rows[i].status && holds(body, rows[i].words))
            return rows[i].login;
    }
    return status == 401 ? DP_LOGIN_UNSURE : DP_LOGIN_FINE;
}

bool dp_couch_session_named(struct dp_span body)
{
    json_t *root = json_loadb(body.p ? body.p : "", body.n, 0, NULL);
    const json_t *name = json_object_get(json_object_get(root, "userCtx"), "name");
    bool named = json_is_string(name);
    json_decref(root);
    return named;
}

static bool put(struct dp_span s, char *out, size_t cap, size_t *n)
{
    if (s.n > cap)
        return false;
    if (s.n > 0)
        memcpy(out, s.p, s.n);
    *n = s.n;
    return true;
}

static bool set_name(struct dp_couch_asked_login *out, struct dp_span s)
{
    return put(s, out->name, sizeof(out->name), &out->name_n);
}

static bool set_password(struct dp_couch_asked_login *out, struct dp_span s)
{
    return put(s, out->password, sizeof(out->password), &out->password_n);
}

bool dp_couch_basic(struct dp_span value, struct dp_couch_asked_login *out)
{
    char plain[DP_LOGIN_NAME_BYTES + DP_LOGIN_PASSWORD_BYTES];
    struct dp_span rest = value;
    struct dp_span scheme = dp_span_cut(&rest, ' ');
    size_t n = 0;
    if (!rest.p || !dp_span_ieq(scheme, DP_SPAN("Basic")))
        return false;
    rest = dp_span_trim(rest);
    if (rest.n / 4 * 3 + 2 > sizeof(plain) || !dp_base64_decode(DP_BASE64, rest, plain, &n))
        return false;
    struct dp_span password = {plain, n};
    struct dp_span name = dp_span_cut(&password, ':');
    bool good = password.p && set_name(out, name) && set_password(out, password);
    explicit_bzero(plain, sizeof(plain));
    return good;
}

/* Of a form: plus is a space, %XX a byte. False: it does not fit, or is malformed. */
static bool decode(struct dp_span s, char *out, size_t cap, size_t *n)
{
    size_t k = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (k == cap)
            return false;
        char c = s.p[i] == '+' ? ' ' : s.p[i];
        if (c == '%') {
            const int byte = dp_span_percent((struct dp_span){s.p + i, s.n - i});
            if (byte < 0)
                return false;
            c = (char)byte;
            i += 2;
        }
        out[k++] = c;
    }
    *n = k;
    return true;
}

static enum dp_err read_form(struct dp_span body, struct dp_couch_asked_login *out)
{
    bool named = false, with = false;
    while (body.p) {
        struct dp_span value = dp_span_cut(&body, '&');
        struct dp_span key = dp_span_cut(&value, '=');
        bool good = true;
        if (!value.p)
            continue;
        if (!named && (dp_span_eq(key, DP_SPAN("name")) || dp_span_eq(key, DP_SPAN("username")))) {
            good = decode(value, out->name, sizeof(out->name), &out->name_n);
            named = true;
        } else if (!with && dp_span_eq(key, DP_SPAN("password"))) {
            good = decode(value, out->password, sizeof(out->password), &out->password_n);
            with = true;
        }
        if (!good)
            return DP_ELOGINBODY;
    }
    return named && with ? DP_OK : DP_ELOGINBODY;
}

static struct dp_span member(const json_t *root, const char *key)
{
    const json_t *s = json_object_get(root, key);
    return (struct dp_span){json_string_value(s), json_string_length(s)};
}

static enum dp_err read_json(struct dp_span body, struct dp_couch_asked_login *out)
{
    json_t *root = json_loadb(body.p ? body.p : "", body.n, 0, NULL);
    const struct dp_span password = member(root, "password");
    struct dp_span name = member(root, "name");
    if (!name.p)
        name = member(root, "username"); /* as IBM's SDKs have it */
    bool good = name.p && password.p && set_name(out, name) && set_password(out, password);
    json_decref(root);
    return good ? DP_OK : DP_ELOGINBODY;
}

enum dp_err dp_couch_login_body(struct dp_span content_type, struct dp_span body,
                                struct dp_couch_asked_login *out)
{
    struct dp_span type = dp_span_trim(dp_span_cut(&content_type, ';'));
    if (dp_span_ieq(type, DP_SPAN("application/x-www-form-urlencoded")))
        return read_form(body, out);
    return dp_span_ieq(type, DP_SPAN("application/json")) ? read_json(body, out) : DP_ECONTENTTYPE;
}
