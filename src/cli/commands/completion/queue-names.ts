import { operatorOf } from '../../../common/backend-of.js';
import { within } from '../../../common/waiting/waiting.js';
import { connect, targetOf } from '../../../connect.js';
import { folderHasStore } from '../../../diagnose.js';
import { chooseAddress } from '../../address.js';

/** The maximum number of names offered. */
const MAX_NAMES = 200;
/** The time for finding them, which the prompt waits for: a folder is opened for certain, a broker may be down. */
const LIMIT_MS = { folder: 5000, broker: 1500 };

/**
 * The queues whose names begin with the last word, of the broker that the words or the environment name. Never rejects:
 * nothing may be printed while the user is typing.
 */
export async function queueNames(words: readonly string[]): Promise<string[]> {
  try {
    const url = optionValue(words, '-u', '--url');
    const urlFile = optionValue(words, '--url-file');
    const { address } = chooseAddress({
      ...(url !== undefined && { url }),
      ...(urlFile !== undefined && { urlFile }),
    });
    const target = targetOf(address);
    const isFolder = target.kind === 'folder';
    if (target.kind === 'memory' || (isFolder && !(await folderHasStore(target.path)))) return [];
    const timeoutMs = isFolder ? LIMIT_MS.folder : LIMIT_MS.broker;
    const beginning = (words.at(-1) ?? '').replace(/^-.*=/, '');
    const managementUrl = optionValue(words, '--management-url');
    return await within(find(address, managementUrl, beginning, timeoutMs), 'finding queues', { timeoutMs });
  } catch {
    return [];
  }
}

async function find(
  address: string,
  managementUrl: string | undefined,
  beginning: string,
  timeoutMs: number,
): Promise<string[]> {
  const broker = await connect(address, { connectTimeoutMs: timeoutMs, managementUrl, observe: () => {} });
  try {
    const { queues } = await operatorOf(broker).queues({ match: beginning, timeoutMs });
    return queues
      .map(({ name }) => name)
      .filter((name) => name.startsWith(beginning) && isPlain(name))
      .slice(0, MAX_NAMES);
  } finally {
    await broker.close();
  }
}

/** The value of an option, as `-u VALUE` or `--url=VALUE`. */
function optionValue(words: readonly string[], ...names: readonly string[]): string | undefined {
  for (const [index, word] of words.slice(0, -1).entries()) {
    if (names.includes(word)) return unquoted(words[index + 1] ?? '');
    const name = names.find((name) => name.startsWith('--') && word.startsWith(`${name}=`));
    if (name !== undefined) return unquoted(word.slice(name.length + 1));
  }
  return undefined;
}

/** zsh passes words as they are typed. */
function unquoted(typed: string): string {
  const word = typed.replace(/["'\\]/g, '');
  const variable = /^\$\{?(\w+)\}?$/.exec(word)?.[1];
  return variable === undefined ? word : (process.env[variable] ?? '');
}

/** Shells take suggestions as typed input: names with characters that mean more to one of them are left out. */
function isPlain(name: string): boolean {
  return /^[\p{L}\p{N}_.@%+,/][\p{L}\p{M}\p{N}_.@%+,/:-]*$/u.test(name);
}
