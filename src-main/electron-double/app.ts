import { EventEmitter } from "node:events";
import { tmpdir } from "node:os";
import { BrowserWindowDouble } from "./window.ts";
import { needNotReady, preventable, world } from "./world.ts";

type Modelled =
  | "enableSandbox"
  | "requestSingleInstanceLock"
  | "whenReady"
  | "isReady"
  | "quit"
  | "exit"
  | "getPath"
  | "setAsDefaultProtocolClient"
  | "isPackaged"
  | "getPreferredSystemLanguages";

/** `app`: readiness, the single instance, and Electron's order of quitting. */
export class AppDouble extends EventEmitter implements Pick<Electron.App, Modelled> {
  readonly isPackaged = false;
  readonly #readiness = Promise.withResolvers<void>();

  enableSandbox(): void {
    needNotReady("app.enableSandbox()");
    world.sandboxed = true;
  }

  requestSingleInstanceLock(): boolean {
    return !world.lockHeldElsewhere;
  }

  whenReady(): Promise<void> {
    return this.#readiness.promise;
  }

  setAsDefaultProtocolClient(scheme: string): boolean {
    world.schemes.push(scheme);
    return true;
  }

  getPreferredSystemLanguages(): string[] {
    return [...world.languages];
  }

  isReady(): boolean {
    return world.ready;
  }

  getPath(): string {
    return tmpdir();
  }

  /** before-quit, then every window's close, then will-quit; each can stop it. */
  quit(): void {
    if (world.exitCode !== null) return;
    const before = preventable({});
    this.emit("before-quit", before);
    if (before.defaultPrevented) return;
    for (const window of BrowserWindowDouble.getAllWindows()) window.close();
    if (BrowserWindowDouble.getAllWindows().length > 0) return;
    const will = preventable({});
    this.emit("will-quit", will);
    if (!will.defaultPrevented) this.exit(0);
  }

  exit(code = 0): void {
    world.exitCode = code;
    for (const window of BrowserWindowDouble.getAllWindows()) window.destroy();
    this.emit("quit", {}, code);
  }

  // What happens to an app, for tests to bring about.

  becomeReady(): void {
    world.ready = true;
    this.emit("ready", {});
    this.#readiness.resolve();
  }

  /** The user starts the app a second time, or clicks on a link that it is the program for. */
  launchAgain(words: readonly string[] = []): void {
    this.emit("second-instance", {}, words, tmpdir(), null);
  }

  /** macOS: a link that the app is the program for. */
  openUrl(url: string): void {
    this.emit("open-url", preventable({}), url);
  }
}
