import { openSync, readSync } from "node:fs";

/**
 * Loaded into a process and its threads before everything else: its wall clock is ahead of this computer's by what
 * a file says, also at the first look after a stop, as after a sleep. Clocks that nobody sets stand still in a sleep.
 */
const file = process.env["TAH_BENCH_CLOCK"];
if (file !== undefined) {
  const descriptor = openSync(file, "r");
  const ahead = new Float64Array(1);
  const bytes = new Uint8Array(ahead.buffer);
  const { now } = Date;
  const later = (): number => {
    readSync(descriptor, bytes, 0, bytes.length, 0);
    return now() + (ahead[0] ?? 0);
  };
  globalThis.Date = new Proxy(Date, {
    construct: (target, given: unknown[], made) =>
      Reflect.construct(target, given.length === 0 ? [later()] : given, made) as Date,
    apply: () => new Date(later()).toString(),
    get: (target, name, receiver: unknown): unknown =>
      name === "now" ? later : (Reflect.get(target, name, receiver) as unknown),
  });
}
