/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of dogpile-lock. Called once, first; nothing is opened
 * here. Letters mean what they mean to flock(1), where it has them.
 *
 * A lock may have any name, "list" too: what stands before "--" is a name, and
 * a verb has no "--" after it.
 */
#include "tools/lock_tool.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "lock/name.h"

static const char help[] =
    "Usage: dogpile-lock [options] NAME -- COMMAND [ARGUMENT...]\n"
    "       dogpile-lock [options] list\n"
    "       dogpile-lock [options] show|break NAME\n"
    "\n"
    "Hold the lock NAME while COMMAND runs. Sources of mod_dogpile with\n"
    "DogpileSourceLock NAME hold it shared while they render.\n"
    "\n"
    "  -c, --config FILE    the lockers, as for DogpileLockerFile; otherwise\n"
    "                       $DOGPILE_LOCK_CONFIG, otherwise the directory of\n"
    "                       mod_dogpile's default store\n"
    "  -x, --exclusive      nobody else has the lock meanwhile (the default)\n"
    "  -s, --shared         others may have it shared too\n"
    "  -w, --timeout TIME   wait so long at most: seconds, or 500ms, 10min, "
    "2h\n"
    "  -n, --nonblock       don't wait; --timeout 0\n"
    "  -E, --conflict-exit-code N\n"
    "                       exit with N where the lock isn't had in time (1)\n"
    "      --namespace TEXT as DogpileLockNamespace\n"
    "      --no-write-ok    with -s: run without a lock where the directory\n"
    "                       of the locks can't be written\n"
    "      --verbose        say who is waited for\n"
    "  -h, --help           this\n"
    "  -V, --version        the version\n"
    "\n"
    "list shows all locks that can be seen; show those of NAME, exit code 1\n"
    "if it is free; break ends them, whoever has them.\n";

enum { OPTION_NAMESPACE = 256, OPTION_NO_WRITE_OK, OPTION_VERBOSE };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"exclusive", no_argument, NULL, 'x'},
    {"shared", no_argument, NULL, 's'},
    {"timeout", required_argument, NULL, 'w'},
    {"wait", required_argument, NULL, 'w'},
    {"nonblock", no_argument, NULL, 'n'},
    {"conflict-exit-code", required_argument, NULL, 'E'},
    {"namespace", required_argument, NULL, OPTION_NAMESPACE},
    {"no-write-ok", no_argument, NULL, OPTION_NO_WRITE_OK},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0}};

static int refuse(const char *wrong)
{
    dp_tool_say("%s; see dogpile-lock --help", wrong);
    return EX_USAGE;
}

static int read_option(dp_tool_t *tool, int option)
{
    apr_int64_t number;

    switch (option) {
    case 'c':
        tool->config = optarg;
        return 0;
    case 'x':
    case 'e':
        tool->mode = DOGPILE_EXCLUSIVE;
        return 0;
    case 's':
        tool->mode = DOGPILE_SHARED;
        return 0;
    case 'n':
        tool->timeout_usec = 0;
        return 0;
    case 'w':
        return dp_text_duration(optarg, &tool->timeout_usec)
                   ? 0
                   : refuse("--timeout: a time is allowed, in seconds or with "
                            "a unit (ms, s, min, h, d)");
    case 'E':
        if (!dp_text_int(optarg, 0, 255, &number)) {
            return refuse("-E: a number from 0 to 255 is allowed");
        }
        tool->conflict_code = (int)number;
        return 0;
    case OPTION_NAMESPACE:
        tool->lock_namespace = optarg;
        return 0;
    case OPTION_NO_WRITE_OK:
        tool->runs_unlocked = 1;
        return 0;
    case OPTION_VERBOSE:
        tool->is_verbose = 1;
        return 0;
    default: /* getopt has said what it is */
        return EX_USAGE;
    }
}

static int read_options(dp_tool_t *tool, int *is_done, int argc,
                        char *const argv[])
{
    int code = 0;
    int option = 0;

    while (code == 0 && option != -1) {
        option = getopt_long(argc, argv, "+c:xesw:nE:hV", options, NULL);
        if (option == 'h') {
            *is_done = 1;
            return fputs(help, stdout) < 0 ? EX_IOERR : 0;
        }
        if (option == 'V') {
            *is_done = 1;
            puts("dogpile-lock (mod_dogpile) " DP_VERSION);
            return 0;
        }
        if (option != -1) {
            code = read_option(tool, option);
        }
    }
    return code;
}

static int read_verb(dp_tool_t *tool, int nwords, char *const words[])
{
    static const struct {
        const char *word;
        dp_verb_e verb;
        int nwords;
    } verbs[] = {{"list", DP_VERB_LIST, 1},
                 {"show", DP_VERB_SHOW, 2},
                 {"break", DP_VERB_BREAK, 2}};
    apr_size_t i;

    for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
        if (strcmp(words[0], verbs[i].word) == 0 && nwords == verbs[i].nwords) {
            tool->verb = verbs[i].verb;
            tool->name = words[1]; /* NULL after the last one */
            return 0;
        }
    }
    return refuse("a name, then -- and a command, or list, show NAME or break "
                  "NAME is allowed");
}

int dp_tool_options(dp_tool_t *tool, int *is_done, int argc, char *const argv[])
{
    int code = read_options(tool, is_done, argc, argv);
    char *const *words = argv + optind;
    int nwords = argc - optind;

    if (code || *is_done) {
        return code;
    }
    if (nwords == 0) {
        return refuse("the name of a lock is missing");
    }
    if (nwords >= 2 && strcmp(words[1], "--") == 0) {
        tool->name = words[0];
        tool->command = words + 2;
        code = nwords > 2 ? 0 : refuse("the command is missing after --");
    }
    else {
        code = read_verb(tool, nwords, words);
    }
    if (code == 0 && tool->name
        && (tool->name[0] == '\0' || strlen(tool->name) > DP_LOCK_NAME_MAX)) {
        return refuse(
            "a name has 1 to " APR_STRINGIFY(DP_LOCK_NAME_MAX) " bytes");
    }
    if (code == 0 && tool->runs_unlocked && tool->mode != DOGPILE_SHARED) {
        return refuse("--no-write-ok is for readers: it needs -s");
    }
    return code;
}
