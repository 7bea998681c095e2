import { EventEmitter } from "node:events";
import { existsSync } from "node:fs";
import { needReady } from "./world.ts";

/** `NativeImage`: a file that is not there gives an empty image, not an error. */
export class NativeImageDouble implements Pick<
  Electron.NativeImage,
  "isEmpty" | "setTemplateImage" | "isTemplateImage"
> {
  readonly path: string;
  #template = false;

  constructor(path: string) {
    this.path = path;
  }

  isEmpty(): boolean {
    return !existsSync(this.path);
  }

  setTemplateImage(option: boolean): void {
    this.#template = option;
  }

  isTemplateImage(): boolean {
    return this.#template;
  }
}

export const nativeImageDouble = { createFromPath: (path: string) => new NativeImageDouble(path) };

/** `Menu`, as far as a person can see and choose from it. */
export class MenuDouble {
  static application: MenuDouble | null = null;

  static buildFromTemplate(template: Electron.MenuItemConstructorOptions[]): MenuDouble {
    return new MenuDouble(template);
  }

  static setApplicationMenu(menu: MenuDouble | null): void {
    MenuDouble.application = menu;
  }

  readonly template: readonly Electron.MenuItemConstructorOptions[];

  constructor(template: readonly Electron.MenuItemConstructorOptions[]) {
    this.template = template;
  }

  /** Labels as they are read, sub-menus after an arrow. */
  labels(): string[] {
    return this.template
      .filter(({ type }) => type !== "separator")
      .flatMap(({ label = "", submenu }) =>
        Array.isArray(submenu)
          ? new MenuDouble(submenu).labels().map((inner) => `${label} → ${inner}`)
          : [label],
      )
      .map((label) => label.replaceAll("&&", "&"));
  }

  /** A person chooses an entry, through sub-menus. Throws when it is not there or greyed. */
  choose(label: string, ...rest: string[]): void {
    const item = this.template.find((candidate) => candidate.label === label);
    if (item === undefined)
      throw new Error(`There is no "${label}" in the menu: ${this.labels().join(", ")}`);
    if (item.enabled === false) throw new Error(`"${label}" is greyed`);
    const [next, ...others] = rest;
    if (next !== undefined && Array.isArray(item.submenu))
      return new MenuDouble(item.submenu).choose(next, ...others);
    item.click?.({} as Electron.MenuItem, undefined, {} as Electron.KeyboardEvent);
  }
}

type Modelled = "setImage" | "setToolTip" | "setContextMenu" | "isDestroyed" | "destroy";

export class TrayDouble extends EventEmitter implements Pick<Electron.Tray, Modelled> {
  static readonly present = new Set<TrayDouble>();
  image: NativeImageDouble;
  tooltip = "";
  menu: MenuDouble | null = null;
  /** How often anything was changed: a tray that is set anew all the time flickers. */
  changes = 0;

  constructor(image: NativeImageDouble) {
    super();
    needReady("Tray");
    this.image = image;
    TrayDouble.present.add(this);
  }

  setImage(image: Electron.NativeImage | string): void {
    this.#change();
    this.image = image as unknown as NativeImageDouble;
  }

  setToolTip(text: string): void {
    this.#change();
    this.tooltip = text;
  }

  setContextMenu(menu: Electron.Menu | null): void {
    this.#change();
    this.menu = menu as unknown as MenuDouble | null;
  }

  isDestroyed(): boolean {
    return !TrayDouble.present.has(this);
  }

  destroy(): void {
    TrayDouble.present.delete(this);
  }

  #change(): void {
    if (this.isDestroyed()) throw new TypeError("Object has been destroyed");
    this.changes += 1;
  }
}
