import type { Menu, MenuItemConstructorOptions, NativeImage, Tray } from "electron";
import type { TrayAction, TrayEntry, TrayIcon, TrayView } from "./tray-view.ts";

export interface TrayPorts {
  readonly create: (image: NativeImage) => Tray;
  readonly image: (icon: TrayIcon) => NativeImage;
  readonly menu: (template: MenuItemConstructorOptions[]) => Menu;
  readonly view: () => TrayView;
  readonly act: (action: TrayAction) => void;
}

/** The tray icon. It is never the only control: some desktops show none. */
export class ShellTray {
  readonly #ports: TrayPorts;
  readonly #tray: Tray;
  #shown: { icon: TrayIcon; tooltip: string; menu: string };

  constructor(ports: TrayPorts) {
    this.#ports = ports;
    const view = ports.view();
    this.#tray = ports.create(ports.image(view.icon));
    this.#shown = { icon: view.icon, tooltip: "", menu: "" };
    // Where a click does arrive, it does what the first action of the menu does.
    this.#tray.on("click", () => ports.act({ kind: "open" }));
    this.render();
  }

  /** Brings the tray to the present view; called after every change, touches only what differs. */
  render(): void {
    if (this.#tray.isDestroyed()) return;
    const view = this.#ports.view();
    const shown = { icon: view.icon, tooltip: tooltip(view), menu: JSON.stringify(view.menu) };
    if (shown.icon !== this.#shown.icon) this.#tray.setImage(this.#ports.image(view.icon));
    if (shown.tooltip !== this.#shown.tooltip) this.#tray.setToolTip(shown.tooltip);
    // An app indicator keeps the menu that it was given: each change needs a new one.
    if (shown.menu !== this.#shown.menu)
      this.#tray.setContextMenu(this.#ports.menu(view.menu.map((entry) => this.#item(entry))));
    this.#shown = shown;
  }

  destroy(): void {
    this.#tray.destroy();
  }

  #item(entry: TrayEntry): MenuItemConstructorOptions {
    if (entry === "line") return { type: "separator" };
    if ("text" in entry) return { label: literal(entry.text), enabled: false };
    if ("entries" in entry)
      return { label: literal(entry.label), submenu: entry.entries.map((inner) => this.#item(inner)) };
    return { label: literal(entry.label), click: () => this.#ports.act(entry.action) };
  }
}

/** Windows cuts a tooltip off at 127 characters; better within the reason than within the day's number. */
function tooltip({ text, today }: TrayView): string {
  const end = today === null ? "" : `\n${today}`;
  const whole = `Train at Home\n${text}`;
  const room = 127 - end.length;
  return `${whole.length <= room ? whole : `${whole.slice(0, room - 1)}…`}${end}`;
}

/** `&` marks the next letter as a shortcut in a menu: doubled it is itself. */
function literal(text: string): string {
  return text.replaceAll("&", "&&");
}
