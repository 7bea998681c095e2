/** Milliseconds of a clock that all processes of a computer share, and that nobody sets. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
