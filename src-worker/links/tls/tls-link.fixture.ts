/** A peer in a process of its own, for tests that stop or kill it: listens, echoes tensors, ends with its parent. */
import { createSessionSigner } from "../../../src-protocol/signing.ts";
import { listenForLinks } from "./tls-link.ts";

const signer = createSessionSigner();
const { address } = await listenForLinks({
  host: "127.0.0.1",
  port: 0,
  signer,
  onLink: (link) => link.onMessage((message, payload) => link.send(message, payload)),
});
process.on("disconnect", () => process.exit());
process.send?.({ address, key: signer.publicKey });
