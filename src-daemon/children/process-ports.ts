import type { Child, ChildEvents } from "./child.ts";
import type { KeptChildPorts, KeptState } from "./kept-child.ts";

/** What a kept process of the network needs of the world, whichever it is. */
export interface ProcessPorts {
  start(events: ChildEvents): Child;
  onLine(line: string): void;
  onState(state: KeptState): void;
  /** A message that this version does not know. */
  onStrange(): void;
}

/** The ports of the process itself, with what its owner makes of messages and states. */
export function keptPorts(
  ports: ProcessPorts,
  onMessage: (message: unknown) => void,
  onState: (state: KeptState) => void,
): KeptChildPorts {
  return {
    start: (events) => ports.start(events),
    onLine: (line) => ports.onLine(line),
    onMessage,
    onState(state) {
      onState(state);
      ports.onState(state);
    },
    now: () => performance.now(),
  };
}

export function pidOf(state: KeptState): number | null {
  return state.kind === "running" || state.kind === "stopping" ? state.pid : null;
}
