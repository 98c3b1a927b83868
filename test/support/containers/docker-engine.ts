import { existsSync } from 'node:fs';
import { runScript } from '../command.js';
import { noBroker } from '../no-broker.js';
import { hasOwnImage, isHere, isPulled } from './broker-image.js';

const RYUK_IMAGE = process.env.RYUK_CONTAINER_IMAGE ?? 'testcontainers/ryuk:0.14.0';
const INSTALL_LIMIT_MS = 900_000;

export async function ensureDocker(): Promise<void> {
  const { exitCode } = await runScript('ensure-docker.sh', INSTALL_LIMIT_MS);
  if (exitCode !== 0) throw noBroker('no Docker engine, as ensure-docker.sh told above');
}

/** Tells testcontainers, which reads it from the environment when it is imported, what it can't find out itself. */
export async function configureTestcontainers(report: (line: string) => void): Promise<void> {
  chooseHost();
  await chooseReaper(report);
}

/**
 * On a machine that is itself made from a container image, testcontainers takes the engine for one outside of it and
 * looks for published ports at the bridge's gateway. Where the bridge is an interface of this machine, the engine
 * runs right here.
 */
function chooseHost(): void {
  const { DOCKER_HOST, TESTCONTAINERS_HOST_OVERRIDE } = process.env;
  const isLocal = DOCKER_HOST === undefined || DOCKER_HOST.startsWith('unix:');
  if (TESTCONTAINERS_HOST_OVERRIDE === undefined && isLocal && existsSync('/sys/class/net/docker0')) {
    process.env.TESTCONTAINERS_HOST_OVERRIDE = '127.0.0.1';
  }
}

/**
 * Testcontainers removes what a killed run left behind through its reaper, Ryuk, and starts nothing where Ryuk's
 * image can't be had. It is switched off in that case only.
 */
async function chooseReaper(report: (line: string) => void): Promise<void> {
  if (process.env.TESTCONTAINERS_RYUK_DISABLED) return;
  // So that it is this one that testcontainers uses, whatever its own default.
  process.env.RYUK_CONTAINER_IMAGE = RYUK_IMAGE;
  if (await isHere(RYUK_IMAGE)) return;
  // Where the broker's image had to be built, there is no registry to pull from.
  if ((await hasOwnImage()) || !(await isPulled(RYUK_IMAGE, report))) {
    process.env.TESTCONTAINERS_RYUK_DISABLED = 'true';
  }
}
