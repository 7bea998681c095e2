; What the installer does besides: tah for the terminal, tah:// links, and the key before it is removed.
; %LOCALAPPDATA%\Microsoft\WindowsApps is on every user's path since Windows 10; the path itself is not touched.
!macro customInstall
  FileOpen $0 "$LOCALAPPDATA\Microsoft\WindowsApps\tah.cmd" w
  FileWrite $0 '@"$INSTDIR\resources\node\node.exe" "$INSTDIR\resources\daemon\src-cli\tah.js" %*$\r$\n'
  FileClose $0
  WriteRegStr HKCU "Software\Classes\tah" "" "URL:Train at Home invitation"
  WriteRegStr HKCU "Software\Classes\tah" "URL Protocol" ""
  WriteRegStr HKCU "Software\Classes\tah\shell\open\command" "" '"$INSTDIR\${APP_EXECUTABLE_FILENAME}" "%1"'
!macroend

!macro customUnInstall
  ; An update removes the old version: nothing is asked, and nothing of the owner's goes either way.
  ${ifNot} ${isUpdated}
    ; The uninstaller of a one-click app has made itself silent by now, so its own word says nothing: nobody is
    ; here only where its command line says /S. Nothing has been removed yet.
    ClearErrors
    ${GetParameters} $R0
    ${GetOptions} $R0 "/S" $R1
    ${if} ${Errors}
      MessageBox MB_YESNOCANCEL|MB_ICONQUESTION "Your key and your work stay in $LOCALAPPDATA\Train at Home. Without the key nobody can claim what it has earned.$\r$\n$\r$\nWrite a copy of the key to your Documents first?" IDNO tahKeyDone IDYES tahKeyCopy
      Quit
      tahKeyCopy:
      ; One that the keychain keeps is taken out of it by the app that runs; any other stays as it is.
      nsExec::ExecToLog '"$INSTDIR\resources\node\node.exe" "$INSTDIR\resources\daemon\src-cli\tah.js" wallet keep open'
      Pop $0
      nsExec::ExecToLog '"$INSTDIR\resources\node\node.exe" "$INSTDIR\resources\daemon\src-cli\tah.js" wallet export --in-use --out "$DOCUMENTS\train-at-home-key.json"'
      Pop $0
      ${if} $0 == 0
        MessageBox MB_OK|MB_ICONINFORMATION "The copy is train-at-home-key.json in your Documents. Whoever has that file has the key: keep it where nobody else looks."
        Goto tahKeyDone
      ${endif}
      MessageBox MB_OKCANCEL|MB_ICONEXCLAMATION "The key could not be copied: it is under a password or in Windows' keychain, or a copy is in your Documents already. It stays in $LOCALAPPDATA\Train at Home.$\r$\n$\r$\nOK removes the app all the same. Cancel keeps it: then open it, and save a copy under Wallet." IDOK tahKeyDone
      Quit
      tahKeyDone:
    ${endif}
    nsExec::ExecToLog '"$INSTDIR\resources\node\node.exe" "$INSTDIR\resources\daemon\src-cli\tah.js" stop'
    Pop $0
    Delete "$LOCALAPPDATA\Microsoft\WindowsApps\tah.cmd"
    DeleteRegKey HKCU "Software\Classes\tah"
  ${endif}
!macroend
