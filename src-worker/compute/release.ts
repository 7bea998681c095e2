/**
 * Gives an array's memory back at once; the array is empty from then on. Tensors are megabytes
 * that live for milliseconds: left to the garbage collector they make it run several times a step,
 * and each buffer is fresh, cold memory.
 */
export function release(array: ArrayBufferView<ArrayBuffer>): void {
  if (!array.buffer.detached) array.buffer.transfer(0);
}
