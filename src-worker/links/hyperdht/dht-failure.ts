import { Failure } from "../../../src-protocol/failure.ts";

/** Why a dial failed, in words for people. A peer that does not admit us looks like a broken path: nothing comes back. */
const SENTENCES: Record<string, string> = {
  PEER_NOT_FOUND: "the peer has not told the network's address book where it is",
  PEER_CONNECTION_FAILED: "the peer did not answer, or this run has not named us to it yet",
  HOLEPUNCH_DOUBLE_RANDOMIZED_NATS: "both routers change ports for every destination",
  HOLEPUNCH_ABORTED: "no way through the two routers was found",
  HOLEPUNCH_PROBE_TIMEOUT: "what the routers do to ports could not be found out in time",
  CANNOT_HOLEPUNCH: "the peer's router cannot be opened from inside",
  REMOTE_NOT_HOLEPUNCHABLE: "the peer's router cannot be opened from inside",
  REMOTE_NOT_HOLEPUNCHING: "the peer did not open its router",
  RELAY_ABORTED: "the relay did not join the two ends",
};

export function dialFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const { code = "", message = String(error) } = error as NodeJS.ErrnoException;
  const why = SENTENCES[code] ?? message;
  return new Failure("link-refused", `No link over UDP: ${why}.`, { cause: error });
}
