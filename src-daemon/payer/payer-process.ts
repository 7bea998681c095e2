import { join } from "node:path";
import { fromPayer } from "../../src-protocol/payer-ipc.ts";
import type { PayerPlan, ToPayer } from "../../src-protocol/payer-ipc.ts";
import { startChild } from "../children/child.ts";
import { KeptChild } from "../children/kept-child.ts";
import type { KeptState } from "../children/kept-child.ts";
import { keptPorts } from "../children/process-ports.ts";

const PAYER = join(import.meta.dirname, "..", "payer-main.ts");
const GRACE_MS = 2_000;

export interface PayerProcessPorts {
  /** A sentence that the operator should read. */
  note(text: string): void;
  onLine(line: string): void;
  onState(state: KeptState): void;
}

/** The process that pays a network's claims: started again when it ends by itself. */
export class PayerProcess {
  readonly #child: KeptChild;

  constructor(plan: PayerPlan, ports: PayerProcessPorts) {
    const say = (message: ToPayer): void => this.#child.send(message);
    this.#child = new KeptChild(
      keptPorts(
        {
          start: (events) => startChild(PAYER, events),
          onLine: (line) => ports.onLine(line),
          onState: (state) => ports.onState(state),
          onStrange: () => undefined,
        },
        (value) => {
          const message = fromPayer.parse(value);
          if (message.type === "note") ports.note(message.text);
          else if (message.type === "ready") ports.note(`Claims are paid from ${message.address}.`);
          else if (message.type === "failed") {
            this.#child.failing(message.code, message.message);
            ports.note(`Nothing is paid now: ${message.message}`);
          }
        },
        (state) => {
          if (state.kind === "running") say({ type: "start", plan });
        },
      ),
      GRACE_MS,
    );
  }

  start(): void {
    this.#child.start();
  }

  stop(reason: string): Promise<void> {
    return this.#child.stop(reason);
  }
}
