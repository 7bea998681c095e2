import type { Bridge } from "../bridge/bridge.ts";

const LOOK_EVERY_MS = 3_000;

/**
 * A sign-in ends with the daemon, and a refused socket does not say why. While the connection is lost, the page
 * asks for itself: the daemon's answer to somebody who is not signed in says what to do.
 */
export function leaveWhenSignedOut(bridge: Bridge): void {
  if (!location.protocol.startsWith("http")) return;
  let timer: ReturnType<typeof setInterval> | undefined;
  bridge.onConnection((connection) => {
    clearInterval(timer);
    if (connection === "lost") timer = setInterval(() => void look(), LOOK_EVERY_MS);
  });
}

async function look(): Promise<void> {
  const answer = await fetch("/", { method: "HEAD", cache: "no-store" }).catch(() => null);
  if (answer?.status === 401) location.reload();
}
