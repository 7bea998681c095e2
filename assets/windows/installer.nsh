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
  ; An update removes the old version in silence: nothing is asked, and nothing of the owner's goes either way.
  ${ifNot} ${isUpdated}
    ${ifNot} ${Silent}
      MessageBox MB_YESNO|MB_ICONQUESTION "Your key stays in $LOCALAPPDATA\Train at Home. Without it nobody can claim what it has earned.$\r$\n$\r$\nWrite a copy of it to your Documents first?" IDNO noExport
        ; One that the keychain keeps is taken out of it by the app that runs; any other stays as it is.
        nsExec::ExecToLog '"$INSTDIR\resources\node\node.exe" "$INSTDIR\resources\daemon\src-cli\tah.js" wallet keep open'
        Pop $0
        nsExec::ExecToLog '"$INSTDIR\resources\node\node.exe" "$INSTDIR\resources\daemon\src-cli\tah.js" wallet export --out "$DOCUMENTS\train-at-home-key.json"'
        Pop $0
        ${if} $0 != 0
          MessageBox MB_OK|MB_ICONEXCLAMATION "The key could not be copied (a copy may be there already, or it is under a password). It stays in $LOCALAPPDATA\Train at Home."
        ${endif}
      noExport:
    ${endif}
    nsExec::ExecToLog '"$INSTDIR\resources\node\node.exe" "$INSTDIR\resources\daemon\src-cli\tah.js" stop'
    Pop $0
    Delete "$LOCALAPPDATA\Microsoft\WindowsApps\tah.cmd"
    DeleteRegKey HKCU "Software\Classes\tah"
  ${endif}
!macroend
