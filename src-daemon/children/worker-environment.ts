/** What a worker needs of its daemon's environment: to find the system, its language, and a card's driver. */
const NEEDED =
  /^(PATH|LANG|LANGUAGE|LC_\w+|TZ|HOME|TMPDIR|TEMP|TMP|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|SYSTEMROOT|SYSTEMDRIVE|WINDIR|COMSPEC|PROGRAMDATA|APPDATA|LOCALAPPDATA|USERPROFILE|CUDA_\w+|NVIDIA_\w+|HIP_\w+|ROCR_\w+|HSA_\w+|VK_\w+|MALLOC_\w+|GLIBC_TUNABLES|ORT_\w+|NODE_CHANNEL_\w+|NODE_COMPILE_CACHE)$/i;

/** SECURITY: an environment holds other programs' secrets (tokens of clouds, an agent's own); a worker gets none of them. */
export function workerEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => NEEDED.test(name)));
}
