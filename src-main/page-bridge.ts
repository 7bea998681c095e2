import type { IpcMain, IpcMainEvent, WebContents, WebFrameMain } from "electron";
import { z } from "zod";
import { SCOPE_OF } from "../src-protocol/api-scopes.ts";
import { Failure, failureBody } from "../src-protocol/failure.ts";
import { METHODS, type MethodName } from "../src-protocol/methods.ts";
import type { ShellAnswer, ShellMessage } from "../src-protocol/shell-bridge.ts";
import {
  SHELL_METHODS,
  shellChange,
  type ShellChange,
  type ShellSettings,
} from "../src-protocol/shell-settings.ts";
import { CHANNEL, HELLO } from "./channel.ts";
import type { DaemonLink } from "./daemon-link.ts";
import { isOurs } from "./origin.ts";

/** More than a page waits for at once; a page that runs wild must not fill the daemon's queue. */
const CALLS_AT_ONCE = 32;

/** SECURITY: the shell speaks for the computer, and sign-in addresses are for browsers. */
const isForThePage = (method: MethodName): boolean => SCOPE_OF[method] !== "owner";

const pageCall = z.strictObject({
  id: z.int().nonnegative(),
  method: z.string().max(64),
  params: z.json().optional(),
});
type PageCall = z.infer<typeof pageCall>;

/** What the shell itself answers. */
export interface ShellDesk {
  get(): ShellSettings;
  /** Throws what writing throws. */
  change(change: ShellChange): ShellSettings;
}

/** Passes the page's calls on to the daemon, and the daemon's messages to the page. */
export class PageBridge {
  readonly #link: DaemonLink;
  readonly #shell: ShellDesk;
  /** The page that has asked for the state: it gets patches from then on. */
  #subscriber: WebFrameMain | null = null;
  #page: WebContents | null = null;
  #running = 0;

  constructor(ipcMain: IpcMain, link: DaemonLink, shell: ShellDesk) {
    this.#link = link;
    this.#shell = shell;
    ipcMain.on(CHANNEL, (event, message: unknown) => this.#receive(event, message));
    link.onMessage((message) => {
      if (this.#subscriber !== null) this.#send(this.#subscriber, message);
    });
    link.onStatus(() => this.#tellConnection());
  }

  /** From now on this is the one page that is listened to. */
  attach(page: WebContents): void {
    this.#page = page;
    const forget = () => (this.#subscriber = null);
    // A page that loads anew starts without a state, so patches mean nothing to it.
    page.on("did-start-navigation", (event) => {
      if (event.isMainFrame && !event.isSameDocument) forget();
    });
    page.on("render-process-gone", forget);
    page.on("destroyed", forget);
  }

  #receive(event: IpcMainEvent, message: unknown): void {
    const frame = this.#trusted(event);
    // SECURITY: whoever is not our page gets no answer, not even a refusal.
    if (frame === null) return;
    if (message === HELLO) {
      this.#subscriber = null;
      this.#tellConnection();
      return;
    }
    const call = pageCall.safeParse(message);
    if (!call.success) return this.#refuse(frame, message);
    void this.#answer(frame, call.data);
  }

  /** SECURITY: our window's main frame, showing our own page. A frame inside it, or a page it was led to, is not. */
  #trusted(event: IpcMainEvent): WebFrameMain | null {
    const frame = event.senderFrame;
    if (frame === null || event.sender !== this.#page) return null;
    return frame.parent === null && isOurs(frame.url) ? frame : null;
  }

  async #answer(frame: WebFrameMain, { id, method, params }: PageCall): Promise<void> {
    if (this.#running >= CALLS_AT_ONCE) {
      const error = new Failure("too-many-calls", `At most ${CALLS_AT_ONCE} calls at a time. Try again.`);
      return this.#send(frame, { type: "error", id, error: error.body() });
    }
    this.#running += 1;
    try {
      const answer = await this.#ask(frame, method, params ?? {});
      this.#send(frame, { id, ...message(answer) });
    } finally {
      this.#running -= 1;
    }
  }

  async #ask(frame: WebFrameMain, method: string, params: unknown): Promise<ShellAnswer> {
    if (method === SHELL_METHODS.get) return this.#ofShell(() => this.#shell.get());
    if (method === SHELL_METHODS.change)
      return this.#ofShell(() => this.#shell.change(shellChange.parse(params)));
    // SECURITY: own keys only: "constructor" is in every object.
    if (!isMethod(method) || !isForThePage(method)) {
      return { error: new Failure("no-such-method", `The page may not call ${method}.`).body() };
    }
    const parsed = METHODS[method].params.safeParse(params);
    if (!parsed.success) {
      const text = `${method} was called with wrong parameters: ${parsed.error.issues[0]?.message}.`;
      return { error: new Failure("bad-parameters", text).body() };
    }
    if (method !== "state.subscribe") return this.#link.call(method, parsed.data);
    const { state } = this.#link;
    if (state === null) return { error: this.#link.away().body() };
    // In one go with taking the state: no patch can fall between them.
    this.#subscriber = frame;
    return { result: state };
  }

  #ofShell(answer: () => ShellSettings): ShellAnswer {
    try {
      return { result: answer() };
    } catch (error) {
      return { error: failureBody(error) };
    }
  }

  #refuse(frame: WebFrameMain, message: unknown): void {
    const id = z.object({ id: z.int().nonnegative() }).safeParse(message);
    if (!id.success) return;
    const error = new Failure("bad-request", "The call is not well formed.").body();
    this.#send(frame, { type: "error", id: id.data.id, error });
  }

  #tellConnection(): void {
    const open = this.#link.status.kind === "connected";
    if (!open) this.#subscriber = null;
    const page = this.#page;
    if (page !== null && !page.isDestroyed() && isOurs(page.mainFrame.url))
      this.#send(page.mainFrame, { type: "connection", open });
  }

  #send(frame: WebFrameMain, message: ShellMessage): void {
    // The page may have gone while the daemon was thinking.
    if (!frame.isDestroyed()) frame.send(CHANNEL, message);
  }
}

function isMethod(name: string): name is MethodName {
  return Object.hasOwn(METHODS, name);
}

function message(answer: ShellAnswer): { type: "result"; result: unknown } | ErrorPart {
  return "error" in answer
    ? { type: "error", error: answer.error }
    : { type: "result", result: answer.result };
}
type ErrorPart = { type: "error"; error: Extract<ShellAnswer, { error: unknown }>["error"] };
