// Streams and events: all that was asked of them is done already.

#include "driver.h"

CUresult cuStreamCreateWithPriority(struct Stream** stream, unsigned flags, int priority) {
  LOG_CALL();
  (void)flags, (void)priority;
  if (!CurrentContext()) return CUDA_ERROR_INVALID_CONTEXT;
  *stream = malloc(sizeof **stream);
  (*stream)->context = CurrentContext();
  return CUDA_SUCCESS;
}

CUresult cuStreamCreate(struct Stream** stream, unsigned flags) {
  return cuStreamCreateWithPriority(stream, flags, 0);
}

CUresult cuStreamDestroy_v2(struct Stream* stream) {
  LOG_CALL();
  free(stream);
  return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(struct Stream* stream) {
  LOG_CALL("%p", (void*)stream);
  return CUDA_SUCCESS;
}

CUresult cuStreamQuery(struct Stream* stream) {
  LOG_CALL("%p", (void*)stream);
  return CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(struct Stream* stream, void* event, unsigned flags) {
  LOG_CALL("%p", (void*)stream);
  (void)event, (void)flags;
  return CUDA_SUCCESS;
}

CUresult cuLaunchHostFunc(struct Stream* stream, void (*function)(void*), void* argument) {
  LOG_CALL("%p", (void*)stream);
  function(argument);
  return CUDA_SUCCESS;
}

CUresult cuEventCreate(void** event, unsigned flags) {
  LOG_CALL();
  (void)flags;
  *event = malloc(1);
  return CUDA_SUCCESS;
}

CUresult cuEventDestroy_v2(void* event) {
  LOG_CALL();
  free(event);
  return CUDA_SUCCESS;
}

CUresult cuEventRecord(void* event, struct Stream* stream) {
  LOG_CALL("%p", (void*)stream);
  (void)event;
  return CUDA_SUCCESS;
}

CUresult cuEventQuery(void* event) {
  LOG_CALL();
  (void)event;
  return CUDA_SUCCESS;
}

CUresult cuEventSynchronize(void* event) {
  LOG_CALL();
  (void)event;
  return CUDA_SUCCESS;
}
