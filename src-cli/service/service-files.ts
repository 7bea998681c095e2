import { join } from "node:path";

/** What is started at sign-in, and as what. */
export interface ServicePlan {
  /** Node, the daemon's script and its words. */
  readonly command: readonly [string, ...string[]];
  readonly dataFolder: string;
  /** Of the person. */
  readonly home: string;
  readonly configHome: string | null;
}

export interface ServiceFile {
  readonly path: string;
  readonly text: string;
}

export const SERVICE_NAME = "train-at-home";
export const LAUNCHD_LABEL = "app.train-at-home.daemon";

/** A unit of the person's own systemd: no root is needed, and it ends when they sign out unless they linger. */
export function systemdUnit({ command, dataFolder, home, configHome }: ServicePlan): ServiceFile {
  return {
    path: join(configHome ?? join(home, ".config"), "systemd", "user", `${SERVICE_NAME}.service`),
    text: `[Unit]
Description=Train at Home
After=network.target
# After five failures in ten minutes something is wrong that a restart does not mend.
StartLimitIntervalSec=600
StartLimitBurst=5

[Service]
Type=exec
ExecStart=${command.map(systemdWord).join(" ")}
Environment=${systemdWord(`TAH_HOME=${dataFolder}`)} MALLOC_ARENA_MAX=1
# It stops by itself within seconds; what it has started ends with it.
KillSignal=SIGTERM
KillMode=mixed
TimeoutStopSec=30
Restart=on-failure
RestartSec=10
IOSchedulingClass=idle
# Its workers get a group of their own, in which the limits on cores and memory hold.
Delegate=cpu memory
NoNewPrivileges=yes
LockPersonality=yes
RestrictSUIDSGID=yes

[Install]
WantedBy=default.target
`,
  };
}

/** Quoted as systemd.service(5) reads it; `%` and `$` stand for themselves. */
export function systemdWord(word: string): string {
  const escaped = word
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("%", "%%")
    .replaceAll("$", "$$$$");
  return `"${escaped}"`;
}

export function launchdPlist({ command, dataFolder, home }: ServicePlan): ServiceFile {
  const words = command.map((word) => `    <string>${xml(word)}</string>`).join("\n");
  return {
    path: join(home, "Library", "LaunchAgents", `${LAUNCHD_LABEL}.plist`),
    text: `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${LAUNCHD_LABEL}</string>
  <key>ProgramArguments</key>
  <array>
${words}
  </array>
  <key>EnvironmentVariables</key>
  <dict>
    <key>TAH_HOME</key>
    <string>${xml(dataFolder)}</string>
  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>10</integer>
  <key>ProcessType</key>
  <string>Background</string>
  <key>StandardErrorPath</key>
  <string>${xml(join(dataFolder, "service.log"))}</string>
</dict>
</plist>
`,
  };
}

/** A task that starts at sign-in, hidden, with the rights of the person alone. */
export function windowsTask({ command, dataFolder }: ServicePlan): ServiceFile {
  const [program, ...words] = command;
  const quoted = words.map((word) => `"${word.replaceAll('"', '\\"')}"`).join(" ");
  return {
    path: join(dataFolder, "service-task.xml"),
    text: `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.4" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>Train at Home</Description></RegistrationInfo>
  <Triggers><LogonTrigger><Enabled>true</Enabled></LogonTrigger></Triggers>
  <Principals><Principal id="Author"><LogonType>InteractiveToken</LogonType><RunLevel>LeastPrivilege</RunLevel></Principal></Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>7</Priority>
    <Hidden>true</Hidden>
    <RestartOnFailure><Interval>PT1M</Interval><Count>5</Count></RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>${xml(program)}</Command>
      <Arguments>${xml(`${quoted} --home "${dataFolder}"`)}</Arguments>
    </Exec>
  </Actions>
</Task>
`,
  };
}

function xml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
