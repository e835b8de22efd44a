/* A tiny plug-in, CLAP by default and VST 3 with -DVST3, that behaves as -DBEHAVIOUR says. Nothing in it sounds.
   tests/composing/test_plugin_scan.py builds it. */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GOOD, CRASH, HANG, FLOOD, WRITE, DAEMON, LEAVE, REFUSE, KILL_PARENT, SPIN, EMPTY, BABBLE };
#ifndef BEHAVIOUR
#define BEHAVIOUR GOOD
#endif
#ifndef NAME
#define NAME "Tiny Piano"
#endif
#ifndef ID
#define ID "org.example.tiny-piano"
#endif
#ifndef PLACE
#define PLACE "/nowhere"
#endif

static bool behave(void) {
    switch (BEHAVIOUR) {
    case CRASH: *(volatile int *)8 = 1; break;
    case HANG: for (;;) pause();
    case SPIN: for (volatile long i = 0;; i++);
    case FLOOD:
        for (int i = 0; i < 200000; i++) printf("{\"plugins\": [\"noise\"]} %s\n", getenv("SECRET_KEY"));
        for (int fd = 0; fd < 3; fd++) dprintf(fd, "{\"plugins\": []}");
        break;
    case WRITE: {
        FILE *file = fopen(PLACE, "w");
        if (file) { fputs("written", file); fclose(file); }
        unlink(PLACE ".kept");
        mkdir(PLACE ".folder", 0777);
        break;
    }
    case DAEMON:
        if (fork() == 0) {
            setsid();
            if (fork() == 0) {
                char mark[] = PLACE;
                execl("/bin/sh", "sh", "-c", "sleep 60; : \"$0\"", mark, (char *)0);
            }
            _exit(0);
        }
        usleep(200000);
        break;
    case LEAVE: exit(3);
    case REFUSE: return false;
    case KILL_PARENT: kill(getppid(), SIGKILL); break;
    }
    return true;
}

#ifndef VST3
typedef struct { uint32_t major, minor, revision; } version_t;
typedef struct {
    version_t clap;
    const char *id, *name, *vendor, *url, *manual, *support, *version, *description;
    const char *const *features;
} descriptor_t;
typedef struct factory {
    uint32_t (*count)(const struct factory *);
    const descriptor_t *(*descriptor)(const struct factory *, uint32_t);
    const void *(*create)(const struct factory *, const void *, const char *);
} factory_t;

static const char *const features[] = {"instrument", "synthesizer", "piano", 0};
static const char *const effect[] = {"audio-effect", "reverb", 0};
static const descriptor_t plugins[] = {
    {{1, 2, 0}, ID, NAME, "Example", 0, 0, 0, "1.4.2", "", features},
    {{1, 2, 0}, ID ".room", "Tiny \xff Room\x01", 0, 0, 0, 0, 0, 0, effect},
};
static char longest[1 << 16];
static const descriptor_t babble = {{1, 2, 0}, ID, longest, longest, 0, 0, 0, longest, "", features};

static uint32_t count(const factory_t *self) { return BEHAVIOUR == BABBLE ? 1000000 : BEHAVIOUR == EMPTY ? 0 : 2; }
static const descriptor_t *describe(const factory_t *self, uint32_t i) {
    if (BEHAVIOUR == BABBLE) { memset(longest, 'a', sizeof longest - 1); return &babble; }
    return &plugins[i];
}
static const factory_t factory = {count, describe, 0};
static bool begin(const char *path) { return behave(); }
static void end(void) {}
static const void *get(const char *id) { return strcmp(id, "clap.plugin-factory") ? 0 : &factory; }
typedef struct { version_t version; bool (*init)(const char *); void (*deinit)(void); const void *(*get)(const char *); } entry_t;
__attribute__((visibility("default"))) const entry_t clap_entry = {{1, 2, 0}, begin, end, get};
#else
typedef struct { char vendor[64], url[256], email[128]; int32_t flags; } info_t;
typedef struct { uint8_t cid[16]; int32_t cardinality; char category[32], name[64]; } class_t;
typedef struct { class_t first; uint32_t flags; char sub[128], vendor[64], version[64], sdk[64]; } class2_t;
typedef struct { void **table; } object_t;

static int32_t query(object_t *self, const char *id, void **out) {
    static const unsigned char second[16] = {0, 7, 0xb6, 0x50, 0xf2, 0x4b, 0x4c, 0x0b, 0xa4, 0x64, 0xed, 0xb9, 0xf0, 0x0b, 0x2a, 0xbb};
#ifdef OLD
    *out = 0; return -1;
#endif
    if (memcmp(id, second, 16)) { *out = 0; return -1; }
    *out = self; return 0;
}
static uint32_t refer(object_t *self) { return 1; }
static int32_t get_info(object_t *self, info_t *out) { memset(out, 0, sizeof *out); strcpy(out->vendor, "Example"); return 0; }
static int32_t count(object_t *self) { return 2; }
static int32_t get_class(object_t *self, int32_t i, class_t *out) {
    memset(out, 0, sizeof *out);
    for (int b = 0; b < 16; b++) out->cid[b] = 16 * b + i;
    strcpy(out->category, i ? "Component Controller Class" : "Audio Module Class");
    strcpy(out->name, NAME);
    return 0;
}
static int32_t create(object_t *self, const char *cid, const char *iid, void **out) { return -1; }
static int32_t get_class2(object_t *self, int32_t i, class2_t *out) {
    memset(out, 0, sizeof *out);
    get_class(self, i, &out->first);
    strcpy(out->sub, "Instrument|Synth|Piano");
    strcpy(out->version, "2.0");
    return 0;
}
static void *table[] = {query, refer, refer, get_info, count, get_class, create, get_class2};
static object_t factory = {table};
bool ModuleEntry(void *handle) { return handle && behave(); }
bool ModuleExit(void) { return true; }
object_t *GetPluginFactory(void) { return &factory; }
#endif
