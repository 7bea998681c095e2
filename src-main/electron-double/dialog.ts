/** `dialog`: what was asked, and what its person presses. */
export class DialogDouble implements Pick<Electron.Dialog, "showErrorBox"> {
  readonly asked: Electron.MessageBoxOptions[] = [];
  /** The index of the button that is pressed. */
  response = 0;
  checkboxChecked = false;

  async showMessageBox(options: Electron.MessageBoxOptions): Promise<Electron.MessageBoxReturnValue> {
    this.asked.push(options);
    return { response: this.response, checkboxChecked: this.checkboxChecked };
  }

  showErrorBox(): void {}
}
