import { EventEmitter } from "node:events";
import { needReady } from "./world.ts";

/** `Notification` of the main process: what a person sees, and what a click on it does. */
export class NotificationDouble
  extends EventEmitter
  implements Pick<Electron.Notification, "show" | "close">
{
  static readonly shown: NotificationDouble[] = [];
  static supported = true;

  static isSupported(): boolean {
    return NotificationDouble.supported;
  }

  readonly title: string;
  readonly body: string;
  readonly actions: readonly Electron.NotificationAction[];

  constructor({ title = "", body = "", actions = [] }: Electron.NotificationConstructorOptions = {}) {
    super();
    needReady("Notification");
    this.title = title;
    this.body = body;
    this.actions = actions;
  }

  show(): void {
    NotificationDouble.shown.push(this);
  }

  close(): void {
    this.emit("close");
  }

  // What a person does.

  click(): void {
    this.emit("click");
  }

  press(index: number): void {
    this.emit("action", {}, index);
  }
}
