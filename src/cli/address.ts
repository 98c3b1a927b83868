/** Which broker a command talks to, and who said so. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { CommandError, EXIT } from './exit-code.js';

/** Of these the first that is set wins; each also as `<NAME>_FILE`, the path of a file that holds the address. */
export const ADDRESS_VARIABLES = ['MILLRACE_URL', 'AMQP_URL', 'RABBITMQ_URL', 'CLOUDAMQP_URL'] as const;

/**
 * Where `send` and `work` look when nobody says anything: queues on this machine's disk, which every terminal shares.
 * By the XDG Base Directory Specification a state folder that is not absolute counts as not set.
 */
export function embeddedAddress(environment: Readonly<Record<string, string | undefined>>): string {
  const { XDG_STATE_HOME: stateHome = '' } = environment;
  const state = isAbsolute(stateHome) ? stateHome : join(homedir(), '.local', 'state');
  return `local:${join(state, 'millrace')}`;
}

export interface AddressFlags {
  readonly url?: string;
  readonly urlFile?: string;
}

export interface ChosenAddress {
  /** One address, or several with commas between them; with their passwords. */
  readonly address: string;
  /** `--url`, the name of a variable, or `the default`. Names what a wrong address is the fault of. */
  readonly source: string;
}

/**
 * `--url` or `--url-file`, then the environment, then the fallback. A variable that is set to nothing counts as not
 * set; where both `X` and `X_FILE` are set, `X` wins.
 */
export function chooseAddress(
  flags: AddressFlags,
  environment: Readonly<Record<string, string | undefined>>,
  fallback: string,
): ChosenAddress {
  if (flags.url !== undefined && flags.urlFile !== undefined) {
    throw new CommandError(EXIT.usage, '--url and --url-file both say where the broker is; give one of them');
  }
  if (flags.url !== undefined) return { address: flags.url, source: '--url' };
  if (flags.urlFile !== undefined) return fromFile(flags.urlFile, '--url-file');
  for (const name of ADDRESS_VARIABLES) {
    const address = environment[name];
    if (address) return { address, source: name };
    const path = environment[`${name}_FILE`];
    if (path) return fromFile(path, `${name}_FILE`);
  }
  return { address: fallback, source: 'the default' };
}

/** Whether a wrong address is the fault of the command line, rather than of the surroundings. */
export function isGivenByFlag({ source }: ChosenAddress): boolean {
  return source.startsWith('--');
}

function fromFile(path: string, source: string): ChosenAddress {
  let address: string;
  try {
    address = readFileSync(path, 'utf8').trim();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(EXIT.configuration, `${source}: the address can't be read (${reason})`, {
      cause: error,
    });
  }
  if (address !== '') return { address, source };
  throw new CommandError(EXIT.configuration, `${source}: there is no address in '${path}'`);
}
