/** What Electron would know by itself, for the doubles to share. */
export interface World {
  ready: boolean;
  /** Another process holds the single-instance lock. */
  lockHeldElsewhere: boolean;
  /** Set when the process would have ended. */
  exitCode: number | null;
  sandboxed: boolean;
  /** Of links, for which the app has made itself the program. */
  schemes: string[];
  /** Of the system's user, the dearest first. */
  languages: string[];
}

export const world: World = fresh();

export function fresh(): World {
  return {
    ready: false,
    lockHeldElsewhere: false,
    exitCode: null,
    sandboxed: false,
    schemes: [],
    languages: ["en-GB"],
  };
}

export function needReady(what: string): void {
  if (!world.ready) throw new Error(`Cannot create ${what} before app is ready`);
}

export function needNotReady(what: string): void {
  if (world.ready) throw new Error(`${what} should be called before app is ready`);
}

/** An event whose default can be prevented, as Electron makes them. */
export function preventable<T extends object>(
  values: T,
): T & { preventDefault(): void; defaultPrevented: boolean } {
  const event = {
    ...values,
    defaultPrevented: false,
    preventDefault() {
      event.defaultPrevented = true;
    },
  };
  return event;
}
