import { randomBytes } from "node:crypto";
import type { WebSocket } from "ws";
import { browserHello } from "../../src-protocol/browser-sign-in.ts";
import type { BrowserAnswer } from "../../src-protocol/browser-sign-in.ts";
import { failureBody } from "../../src-protocol/failure.ts";
import { notSignedIn } from "./sign-in.ts";
import type { SignIn } from "./sign-in.ts";

/** To sign and say who it is. */
const HELLO_MS = 10_000;
const GOODBYE_MS = 1_000;

/** Resolves true when the browser has proved that it was signed in; false, and the connection ends, when not. */
export async function greetBrowser(client: WebSocket, origin: string, signIn: SignIn): Promise<boolean> {
  const nonce = randomBytes(32).toString("hex");
  const say = (answer: BrowserAnswer): void => client.send(JSON.stringify(answer));
  client.on("error", () => {});
  const said = Promise.withResolvers<string | null>();
  const timer = setTimeout(() => said.resolve(null), HELLO_MS);
  client.once("message", (data, isBinary) => said.resolve(isBinary ? null : data.toString()));
  client.once("close", () => said.resolve(null));
  say({ type: "challenge", nonce });
  try {
    const hello = browserHello.safeParse(parsed((await said.promise) ?? ""));
    if (!hello.success) throw notSignedIn();
    await signIn.admit(hello.data, origin, nonce);
  } catch (error) {
    if (client.readyState === client.OPEN) say({ type: "refused", error: failureBody(error) });
    client.close(1008, "not signed in");
    setTimeout(() => client.terminate(), GOODBYE_MS).unref();
    return false;
  } finally {
    clearTimeout(timer);
  }
  if (client.readyState !== client.OPEN) return false;
  say({ type: "welcome" });
  return true;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
