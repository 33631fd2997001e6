/* `davenport serve`: the program at work. */
#ifndef DAVENPORT_SRC_APP_SERVE_H
#define DAVENPORT_SRC_APP_SERVE_H

struct dp_serve_options {
    const char *config_path; /* NULL: the built-in default */
    const char *port_file;   /* written once everything listens, removed at the end; NULL: none */
    int ready_fd;            /* the same text is written here, then it is closed; -1: none */
};

/* Runs until a signal ends it. Returns the process's exit code. */
int dp_serve(const struct dp_serve_options *options);

#endif
