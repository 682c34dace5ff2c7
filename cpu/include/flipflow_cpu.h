/* C interface of the CPU engine: runs plans of binary networks. Needs nothing but the C and C++ run-time libraries.

     flipflow_plan* plan;
     flipflow_engine* engine;
     if (flipflow_plan_open("resnet18.plan", &plan) != FLIPFLOW_OK) return fail(flipflow_error());
     if (flipflow_engine_create(plan, "auto", 1, &engine) != FLIPFLOW_OK) return fail(flipflow_error());
     flipflow_engine_run(engine, images, count, logits);
     flipflow_engine_destroy(engine);
     flipflow_plan_close(plan);

   Plans are made by `flipflow.cpu.write_plan` in Python, for any instruction set on any machine; a plan made for another set than the
   engine's runs too, after its weights have been rearranged in memory. Nothing in a plan is trusted: a damaged or hostile file is
   refused with a message, and never makes the engine read or write outside its memory. A plan file must not change while it is open.

   Threads: plans may be shared freely. One engine may be called from several threads, which then take turns. Results are the same
   bits for every instruction set and every number of threads. Nothing is allocated by flipflow_engine_run. */
#ifndef FLIPFLOW_CPU_H
#define FLIPFLOW_CPU_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define FLIPFLOW_API __attribute__((visibility("default")))
#else
#define FLIPFLOW_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum flipflow_status {
  FLIPFLOW_OK = 0,
  FLIPFLOW_IO = 1,          /* a file cannot be opened or read */
  FLIPFLOW_MALFORMED = 2,   /* not a plan, or one that contradicts itself */
  FLIPFLOW_VERSION = 3,     /* a plan of another version of the format */
  FLIPFLOW_CHECKSUM = 4,    /* bytes were damaged after the plan was written */
  FLIPFLOW_UNSUPPORTED = 5, /* no such instruction set in this build or processor */
  FLIPFLOW_ARGUMENT = 6,    /* an argument is out of range, such as a pixel beyond the network's input range */
  FLIPFLOW_MEMORY = 7,      /* not enough memory */
  FLIPFLOW_SYSTEM = 8       /* the system refuses threads */
} flipflow_status;

/* How the pixels of the input are stored. */
typedef enum flipflow_number { FLIPFLOW_U8 = 1, FLIPFLOW_I8 = 2, FLIPFLOW_I16 = 3 } flipflow_number;

typedef struct flipflow_plan flipflow_plan;
typedef struct flipflow_engine flipflow_engine;

typedef struct flipflow_plan_info {
  int32_t height, width, channels; /* of one image: [height][width][channels] */
  flipflow_number number;
  int32_t minimum, maximum;        /* of a pixel */
  int32_t classes;                 /* logits an image: int32 */
  int32_t operators;
  double logit_scale;              /* real value of one unit of the logits */
  size_t image_bytes;
  size_t plan_bytes;
} flipflow_plan_info;

/* One operator of an engine. Texts live as long as the engine. */
typedef struct flipflow_operator {
  const char* name;
  const char* kind;   /* binary_conv, integer_conv, threshold_bits, threshold_ints, fixed_ints, add, bit_pool, int_pool, sum_pool */
  const char* kernel; /* of a convolution, such as "binary/avx512"; else "plain" */
  const char* output; /* its map: "56x56x64 bits" */
  int64_t macs;       /* products of a convolution */
  int fallback;       /* the scalar kernel runs because the instruction set's own does not take the shape */
  int repacked;       /* weights were rearranged when the engine was made */
} flipflow_operator;

/* What went wrong in this thread's last call that did not return FLIPFLOW_OK; valid until its next call. Never null. */
FLIPFLOW_API const char* flipflow_error(void);

/* Open a plan file, or use one in memory: it is borrowed and must outlive the plan and its engines, or copied where it does not begin
   at a multiple of 64. On failure *plan is null. */
FLIPFLOW_API flipflow_status flipflow_plan_open(const char* path, flipflow_plan** plan);
FLIPFLOW_API flipflow_status flipflow_plan_from_memory(const void* data, size_t bytes, flipflow_plan** plan);
FLIPFLOW_API void flipflow_plan_get_info(const flipflow_plan* plan, flipflow_plan_info* info);
/* Engines of the plan stay usable. Null is allowed. */
FLIPFLOW_API void flipflow_plan_close(flipflow_plan* plan);

/* isa: one of flipflow_isa(), or "auto": the environment variable FLIPFLOW_ISA if set, else the fastest one. threads: 1 to 256, the
   caller's included; the others sleep between calls. On failure *engine is null. */
FLIPFLOW_API flipflow_status flipflow_engine_create(const flipflow_plan* plan, const char* isa, int threads, flipflow_engine** engine);
/* Null is allowed. */
FLIPFLOW_API void flipflow_engine_destroy(flipflow_engine* engine);

/* images: `count` images of image_bytes each, one behind the other; logits: int32 [count][classes]. */
FLIPFLOW_API flipflow_status flipflow_engine_run(flipflow_engine* engine, const void* images, size_t count, int32_t* logits);
/* The same, with the nanoseconds of each operator: [count][operators]. */
FLIPFLOW_API flipflow_status flipflow_engine_profile(flipflow_engine* engine, const void* images, size_t count, int32_t* logits,
                                                     int64_t* nanoseconds);

/* All about the engine as JSON; lives as long as it: {"isa", "threads", "network", "classes", "bytes": {"plan", "arena", "scratch",
   "constants", "repacked"}, "ops": [{"name", "kind", "kernel", "input", "output", "macs", "fallback", "repacked", and for convolutions
   "form", "shape", "split", "pooled"}]}. */
FLIPFLOW_API const char* flipflow_engine_describe(const flipflow_engine* engine);
FLIPFLOW_API const char* flipflow_engine_isa(const flipflow_engine* engine);
/* FLIPFLOW_ARGUMENT where there is no operator `index`. */
FLIPFLOW_API flipflow_status flipflow_engine_operator(const flipflow_engine* engine, int32_t index, flipflow_operator* op);

/* Instruction sets of this build, fastest first; null behind the last. */
FLIPFLOW_API const char* flipflow_isa(size_t index);
/* Whether this processor has it: 1 or 0. */
FLIPFLOW_API int flipflow_isa_supported(const char* isa);

/* The machine's limit: `rounds` rounds of a set's inner loop on registers alone; *macs receives the binary products done. */
FLIPFLOW_API flipflow_status flipflow_limit(const char* isa, int64_t rounds, double* macs);
/* Clock of this core in GHz, measured; takes some milliseconds. */
FLIPFLOW_API double flipflow_clock_ghz(void);

#ifdef __cplusplus
}
#endif

#endif
