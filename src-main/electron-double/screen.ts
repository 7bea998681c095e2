/** `screen`: one display. */
export class ScreenDouble {
  getAllDisplays(): Electron.Display[] {
    return [{ workArea: { x: 0, y: 0, width: 1920, height: 1080 } } as Electron.Display];
  }
}
