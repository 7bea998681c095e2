import { WebSocket } from "ws";

/**
 * Loaded into a worker before everything else: at SIGUSR2 it says once that its next step came to another
 * result than it did, as a computer does whose memory or processor is broken.
 */
let lies = false;
process.on("SIGUSR2", () => (lies = true));

const send = WebSocket.prototype.send as (this: WebSocket, data: unknown, ...more: unknown[]) => void;
WebSocket.prototype.send = function (this: WebSocket, data: unknown, ...more: unknown[]): void {
  if (lies && typeof data === "string" && data.startsWith('{"type":"saved"')) {
    lies = false;
    return send.call(this, data.replace(/"digest":"[0-9a-f]{64}"/, `"digest":"${"0".repeat(64)}"`), ...more);
  }
  return send.call(this, data, ...more);
} as WebSocket["send"];
