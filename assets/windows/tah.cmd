@echo off
rem tah: Train at Home from the terminal, run by the Node that comes with it.
"%~dp0..\node\node.exe" "%~dp0..\daemon\src-cli\tah.js" %*
