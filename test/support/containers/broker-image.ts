import { run, runScript } from '../command.js';
import { noBroker } from '../no-broker.js';

const OFFICIAL_IMAGE = 'rabbitmq:4.3-management-alpine';
const OWN_IMAGES = 'millrace/rabbitmq';

/** A registry that cannot be reached must be found out soon: it answers long before the first layer is here. */
const REGISTRY_ANSWER_MS = 20_000;
const PULL_STALLED_MS = 120_000;
const PULL_LIMIT_MS = 900_000;

/** The image to start: the one asked for, the official one, or one built here out of Debian's package. */
export async function chooseBrokerImage(report: (line: string) => void): Promise<string> {
  const wanted = process.env.RABBITMQ_IMAGE;
  if (wanted) {
    if ((await isHere(wanted)) || (await isPulled(wanted, report))) return wanted;
    throw noBroker(`RABBITMQ_IMAGE is '${wanted}', which is not here and can't be pulled`);
  }
  if (await isHere(OFFICIAL_IMAGE)) return OFFICIAL_IMAGE;
  // A machine that has built the image once could not pull the official one: no need to try that in every run.
  if (!(await hasOwnImage()) && (await isPulled(OFFICIAL_IMAGE, report))) return OFFICIAL_IMAGE;

  const built = await runScript('build-rabbitmq-image.sh', 900_000);
  if (built.exitCode === 0) return built.stdout.trim();
  throw noBroker(`'${OFFICIAL_IMAGE}' can't be pulled and no image could be built, as told above`);
}

export async function isHere(image: string): Promise<boolean> {
  return (await run('docker', ['image', 'inspect', image], { timeoutMs: 20_000 })).exitCode === 0;
}

/** Whether an image was built here already, of this recipe or an older one. */
export async function hasOwnImage(): Promise<boolean> {
  return (await run('docker', ['images', '--quiet', OWN_IMAGES], { timeoutMs: 20_000 })).stdout.trim() !== '';
}

export async function isPulled(image: string, report: (line: string) => void): Promise<boolean> {
  report(`pulling ${image}`);
  const stalled = new AbortController();
  let timer = setTimeout(() => stalled.abort(), REGISTRY_ANSWER_MS);
  const onOutput = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stalled.abort(), PULL_STALLED_MS);
  };
  const { exitCode, stderr } = await run('docker', ['pull', image], {
    timeoutMs: PULL_LIMIT_MS,
    signal: stalled.signal,
    onOutput,
  });
  clearTimeout(timer);
  if (exitCode === 0) return true;
  report(`${image} can't be pulled: ${stalled.signal.aborted ? 'no progress' : stderr.trim()}`);
  return false;
}
