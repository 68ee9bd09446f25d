/* NVIDIA's driver calls on plain memory: tests run the engines' own code without a GPU.
   A graph records copies and one function; without host_graphs(1) there are none. */
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <stdint.h>

typedef struct { void *to; const void *from; size_t n; } copy;
typedef struct { void (*work)(void); copy copies[32]; int count; } graph;
static int live = 0, copies = 0, broken = 0;
static graph *recording = 0;
static int graphs = 0, launches = 0;
void host_graphs(int on) { graphs = on; }
int host_recording(void) { return recording != 0; }
int host_launches(void) { return launches; }
void host_work(void (*work)(void)) { recording->work = work; }
static int copied(void *to, const void *from, size_t n) {
  if (recording) {
    copy one = {to, from, n};
    recording->copies[recording->count++] = one;
    return 0;
  }
  copies++;
  memcpy(to, from, n);
  return 0;
}

int host_live(void) { return live; }
int host_copies(void) { return copies; }
void host_break(int code) { broken = code; }  /* the device is lost: what waits is told so */

int cuInit(unsigned flags) { return getenv("HOST_CUDA_NONE") ? 100 : 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
int cuDeviceGet(int *device, int which) { *device = which; return 0; }
int cuDeviceGetName(char *name, int size, int device) { snprintf(name, size, "Host"); return 0; }
int cuDeviceGetAttribute(int *value, int which, int device) { *value = which == 75 ? 8 : 6; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = &live; return 0; }
int cuCtxSetCurrent(void *context) { return context == &live ? 0 : 201; }
static int take(void **p, size_t n) {
  if (n > ((size_t)1 << 31)) return 2;
  *p = malloc(n);
  live++;
  return 0;
}
static int drop(void *p) { free(p); live--; return 0; }
int cuMemAlloc_v2(void **p, size_t n) { return take(p, n); }
int cuMemFree_v2(void *p) { return drop(p); }
int cuMemHostAlloc(void **p, size_t n, unsigned flags) { return take(p, n); }
int cuMemFreeHost(void *p) { return drop(p); }
int cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t n, void *stream) {
  return copied(to, from, n);
}
int cuMemcpyDtoHAsync_v2(void *to, const void *from, size_t n, void *stream) {
  return copied(to, from, n);
}
int cuStreamCreate(void **stream, unsigned flags) { return take(stream, 8); }
int cuStreamDestroy_v2(void *stream) { return drop(stream); }
int cuStreamSynchronize(void *stream) { return broken; }
int cuStreamBeginCapture_v2(void *stream, int mode) {
  if (!graphs) return 801;
  recording = calloc(1, sizeof(graph));
  live++;
  return 0;
}
int cuStreamEndCapture(void *stream, void **made) {
  if (!recording) return 801;
  *made = recording;
  recording = 0;
  return 0;
}
int cuGraphInstantiateWithFlags(void **executable, void *made, unsigned long long flags) {
  take(executable, sizeof(graph));
  memcpy(*executable, made, sizeof(graph));
  return 0;
}
int cuGraphLaunch(void *executable, void *stream) {
  graph *one = executable;
  launches++;
  if (one->work) one->work();
  for (int i = 0; i < one->count; i++)
    copied(one->copies[i].to, one->copies[i].from, one->copies[i].n);
  return broken;
}
int cuGraphDestroy(void *made) { return drop(made); }
int cuGraphExecDestroy(void *executable) { return drop(executable); }
int cuGetErrorString(int code, const char **text) {
  *text = code == 2 ? "out of memory" : code == 100 ? "no CUDA-capable device is detected"
        : code == 801 ? "operation not supported" : "unspecified launch failure";
  return 0;
}
