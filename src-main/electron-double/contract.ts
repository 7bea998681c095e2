import type * as electron from "electron";

/** The module `electron` as far as both the real one and the double have it. */
type Electron = Pick<
  typeof electron,
  "app" | "BrowserWindow" | "Menu" | "nativeImage" | "powerSaveBlocker" | "protocol" | "screen"
>;

/** A rule of the double, tried on whatever `electron` is given: what is to come of it, as JSON. */
export interface Rule {
  readonly name: string;
  /** Of nothing around it: it is sent to the real Electron's main process as text. */
  readonly tried: (electron: Electron) => unknown;
  readonly comesTo: unknown;
}

/**
 * What the double promises of Electron, once it is ready. The same rules are tried on the double
 * (`contract.test.ts`) and on the real Electron where there is one (`e2e/electron.spec.ts`).
 */
export const CONTRACT: readonly Rule[] = [
  {
    name: "closing a window can be prevented, and it lives on",
    tried: ({ BrowserWindow }) => {
      const window = new BrowserWindow({ show: false });
      const stay = (event: { preventDefault(): void }) => event.preventDefault();
      window.on("close", stay);
      window.close();
      const lives = !window.isDestroyed();
      window.removeListener("close", stay);
      window.destroy();
      return [lives, window.isDestroyed()];
    },
    comesTo: [true, true],
  },
  {
    name: "a destroyed window has no methods any more, and is in no list",
    tried: ({ BrowserWindow }) => {
      const window = new BrowserWindow({ show: false });
      const before = BrowserWindow.getAllWindows().length;
      window.destroy();
      const fewer = before - BrowserWindow.getAllWindows().length;
      try {
        window.hide();
        return [fewer, "no error"];
      } catch (error) {
        return [fewer, (error as Error).message];
      }
    },
    comesTo: [1, "Object has been destroyed"],
  },
  {
    name: "a window that is made hidden is not seen, and hiding takes it out of sight",
    tried: ({ BrowserWindow }) => {
      const window = new BrowserWindow({ show: false });
      const seen = [window.isVisible()];
      window.show();
      seen.push(window.isVisible());
      window.hide();
      seen.push(window.isVisible());
      window.destroy();
      return seen;
    },
    comesTo: [false, true, false],
  },
  {
    name: "a window's place is told in whole pixels, apart from whether it fills the screen",
    tried: ({ BrowserWindow }) => {
      const window = new BrowserWindow({ show: false, x: 40, y: 50, width: 640, height: 480 });
      const { width, height } = window.getNormalBounds();
      const told = [width, height, window.isMaximized()];
      window.destroy();
      return told;
    },
    comesTo: [640, 480, false],
  },
  {
    name: "a scheme has one handler",
    tried: ({ protocol }) => {
      const handler = () => new Response("");
      protocol.handle("tah-contract", handler);
      try {
        protocol.handle("tah-contract", handler);
        return "two";
      } catch {
        return "one";
      }
    },
    comesTo: "one",
  },
  {
    name: "a picture that is not there is empty, and no error; a template stays one",
    tried: ({ nativeImage }) => {
      const image = nativeImage.createFromPath("/nowhere/at-all.png");
      image.setTemplateImage(true);
      return [image.isEmpty(), image.isTemplateImage()];
    },
    comesTo: [true, true],
  },
  {
    name: "suspension is held off until it is let go",
    tried: ({ powerSaveBlocker }) => {
      const id = powerSaveBlocker.start("prevent-app-suspension");
      const held = powerSaveBlocker.isStarted(id);
      powerSaveBlocker.stop(id);
      return [held, powerSaveBlocker.isStarted(id)];
    },
    comesTo: [true, false],
  },
  {
    name: "quitting can be prevented before anything closes",
    tried: ({ app, BrowserWindow }) => {
      const window = new BrowserWindow({ show: false });
      let asked = 0;
      const others = app.listeners("before-quit");
      app.removeAllListeners("before-quit");
      app.once("before-quit", (event: { preventDefault(): void }) => {
        asked += 1;
        event.preventDefault();
      });
      app.quit();
      for (const listener of others) app.on("before-quit", listener as () => void);
      const lives = !window.isDestroyed();
      window.destroy();
      return [asked, lives];
    },
    comesTo: [1, true],
  },
  {
    name: "the languages of the system's user are a list of tags, and screens have a place to work",
    tried: ({ app, screen }) => [
      app.getPreferredSystemLanguages().every((tag) => typeof tag === "string"),
      screen.getAllDisplays().every(({ workArea }) => workArea.width > 0 && workArea.height > 0),
    ],
    comesTo: [true, true],
  },
];
