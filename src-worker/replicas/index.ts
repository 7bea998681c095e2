/** The one entrance: what the worker may know of stages that have many replicas. */
export { KeptSum } from "./kept-sum.ts";
export { ReplicaRunner } from "./replica-runner.ts";
export type { ReplicaInstruction } from "./replica-runner.ts";
export { ReplicaWeb } from "./replica-web.ts";
export { ShareReceipts } from "./share-receipts.ts";
