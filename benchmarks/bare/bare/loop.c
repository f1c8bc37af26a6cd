/* ONNX Runtime's C API in a bare loop, with the session options of toolkit's own target: optimised
 * in full, idle threads asleep, inputs and outputs in buffers that stay.
 *
 * A function that can fail returns NULL or a line that says why, which is never freed. */

#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <onnxruntime_c_api.h>

enum { MOST_DIMENSIONS = 16 };

struct tensor {
    const char *name;
    void *data; /* Of an input: the caller's. Of an output: ours, until the process ends. */
    size_t bytes;
    int64_t shape[MOST_DIMENSIONS];
    size_t rank;
    int32_t type; /* ONNX's number. */
};

struct session {
    const OrtApi *api;
    OrtEnv *env;
    OrtSession *session;
    OrtMemoryInfo *memory;
    OrtAllocator *allocator;
};

struct bound {
    const struct session *of;
    OrtIoBinding *binding;
    OrtValue **outputs;
    size_t count;
};

static const char *said(const OrtApi *api, OrtStatus *status) {
    const char *text = strdup(api->GetErrorMessage(status));
    api->ReleaseStatus(status);
    return text;
}

#define TRY(api, call)                                                                             \
    do {                                                                                           \
        OrtStatus *status_ = (api)->call;                                                          \
        if (status_ != NULL) return said(api, status_);                                            \
    } while (0)

static const OrtApiBase *base_of(const char *library) {
    void *file = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (file == NULL) return NULL;
    const OrtApiBase *(*get)(void) = (const OrtApiBase *(*)(void))dlsym(file, "OrtGetApiBase");
    return get == NULL ? NULL : get();
}

/* The version of a library file; NULL where it is no ONNX Runtime. */
const char *loop_version(const char *library) {
    const OrtApiBase *base = base_of(library);
    return base == NULL ? NULL : base->GetVersionString();
}

const char *loop_open(const char *library, const char *model, int threads, struct session **made) {
    const OrtApiBase *base = base_of(library);
    const OrtApi *api = base == NULL ? NULL : base->GetApi(ORT_API_VERSION);
    if (api == NULL) return "the library does not have the C API that the loop was built for";
    struct session *s = calloc(1, sizeof *s);
    OrtSessionOptions *options;
    s->api = api;
    TRY(api, CreateEnv(ORT_LOGGING_LEVEL_WARNING, "loop", &s->env));
    TRY(api, CreateSessionOptions(&options));
    TRY(api, SetIntraOpNumThreads(options, threads));
    TRY(api, SetInterOpNumThreads(options, 1));
    TRY(api, SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL));
    TRY(api, AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"));
    TRY(api, CreateSession(s->env, model, options, &s->session));
    api->ReleaseSessionOptions(options);
    TRY(api, CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &s->memory));
    TRY(api, GetAllocatorWithDefaultOptions(&s->allocator));
    *made = s;
    return NULL;
}

/* Binds the inputs where they lie. The outputs get the buffers that a first run made. */
const char *loop_bind(const struct session *s, const struct tensor *inputs, size_t count,
                      const char *const *names, size_t outputs, struct bound **made) {
    const OrtApi *api = s->api;
    struct bound *b = calloc(1, sizeof *b);
    b->of = s;
    TRY(api, CreateIoBinding(s->session, &b->binding));
    for (size_t i = 0; i < count; i++) {
        const struct tensor *t = &inputs[i];
        OrtValue *value;
        TRY(api, CreateTensorWithDataAsOrtValue(s->memory, t->data, t->bytes, t->shape, t->rank,
                                                (ONNXTensorElementDataType)t->type, &value));
        TRY(api, BindInput(b->binding, t->name, value));
    }
    for (size_t i = 0; i < outputs; i++)
        TRY(api, BindOutputToDevice(b->binding, names[i], s->memory));
    TRY(api, RunWithBinding(s->session, NULL, b->binding));
    TRY(api, GetBoundOutputValues(b->binding, s->allocator, &b->outputs, &b->count));
    for (size_t i = 0; i < b->count; i++)
        TRY(api, BindOutput(b->binding, names[i], b->outputs[i]));
    *made = b;
    return NULL;
}

static int64_t nanoseconds(const struct timespec *from, const struct timespec *to) {
    return (int64_t)(to->tv_sec - from->tv_sec) * 1000000000 + (to->tv_nsec - from->tv_nsec);
}

/* The nanoseconds of each of so many calls. */
const char *loop_run(const struct bound *b, size_t calls, int64_t *times) {
    const OrtApi *api = b->of->api;
    OrtSession *session = b->of->session;
    struct timespec before, after;
    for (size_t i = 0; i < calls; i++) {
        clock_gettime(CLOCK_MONOTONIC, &before);
        OrtStatus *status = api->RunWithBinding(session, NULL, b->binding);
        clock_gettime(CLOCK_MONOTONIC, &after);
        if (status != NULL) return said(api, status);
        times[i] = nanoseconds(&before, &after);
    }
    return NULL;
}

/* The same with nothing between the two looks at the clock. */
void loop_empty(size_t calls, int64_t *times) {
    struct timespec before, after;
    for (size_t i = 0; i < calls; i++) {
        clock_gettime(CLOCK_MONOTONIC, &before);
        clock_gettime(CLOCK_MONOTONIC, &after);
        times[i] = nanoseconds(&before, &after);
    }
}

/* Where an output lies, its shape and type; the name and the bytes stay as they are. */
const char *loop_output(const struct bound *b, size_t which, struct tensor *into) {
    const OrtApi *api = b->of->api;
    OrtTensorTypeAndShapeInfo *info;
    ONNXTensorElementDataType type;
    TRY(api, GetTensorTypeAndShape(b->outputs[which], &info));
    TRY(api, GetTensorElementType(info, &type));
    TRY(api, GetDimensionsCount(info, &into->rank));
    if (into->rank > MOST_DIMENSIONS) return "an output has too many dimensions";
    TRY(api, GetDimensions(info, into->shape, into->rank));
    api->ReleaseTensorTypeAndShapeInfo(info);
    TRY(api, GetTensorMutableData(b->outputs[which], &into->data));
    into->type = (int32_t)type;
    return NULL;
}
