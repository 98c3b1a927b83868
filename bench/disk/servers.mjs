/**
 * The servers of the peers, each with its data below one folder, on loopback, for the time of the run. What is not
 * installed is not measured; on Debian, `install-servers.sh` installs all of it.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect as connectTcp, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 10_000;
const PATH = [process.env.PATH, '/usr/sbin', '/usr/local/sbin'].join(delimiter);

/**
 * Starts the installed servers. `places` says where each subject stores: a folder, a port, a URL, or undefined where its
 * server is not installed. `stop` ends the servers and removes all data.
 */
export async function startServers(parent = tmpdir()) {
  const base = mkdtempSync(join(resolve(parent), 'millrace-bench-'));
  // PostgreSQL does not run as root; its own user needs access to its folder.
  chmodSync(base, 0o755);
  const folder = (name) => {
    const path = join(base, name);
    mkdirSync(path);
    return path;
  };
  const servers = [];
  const keep = (server) => {
    if (server !== undefined) servers.push(server);
    return server?.place;
  };
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()));
    // A process that failed may still be at its end.
    rmSync(base, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  };
  try {
    return {
      places: {
        folder: folder('folder'),
        redisAlways: keep(await redis(folder('redis-always'), 'always')),
        redisEverySecond: keep(await redis(folder('redis-everysec'), 'everysec')),
        nats: keep(await nats(folder('nats'))),
        postgres: keep(await postgres(folder('postgres'))),
      },
      description: [
        versionOf('redis-server', ['--version'], /v=([\d.]+)/, 'Redis'),
        versionOf('nats-server', ['--version'], /v([\d.]+)/, 'NATS server'),
        versionOf(postgresProgram('postgres'), ['--version'], /([\d.]+)/, 'PostgreSQL'),
      ]
        .filter(Boolean)
        .join(', '),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function redis(folder, appendfsync) {
  const program = find('redis-server');
  if (program === undefined) return undefined;
  const port = await freePort();
  return start(program, port, [
    ...['--port', port, '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
    ...['--appendonly', 'yes', '--appendfsync', appendfsync, '--maxmemory-policy', 'noeviction'],
  ]);
}

async function nats(folder) {
  const program = find('nats-server');
  if (program === undefined) return undefined;
  const port = await freePort();
  return start(program, port, ['-a', '127.0.0.1', '-p', port, '-js', '-sd', folder]);
}

async function postgres(folder) {
  const program = postgresProgram('postgres');
  if (program === undefined) return undefined;
  const user = process.getuid?.() === 0 ? idsOf('postgres') : undefined;
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  /** @type {import('node:child_process').ExecFileSyncOptions} */
  const settings = { ...user, stdio: 'ignore', env: { ...process.env, LC_ALL: 'C' } };
  const initdb = postgresProgram('initdb');
  execFileSync(initdb, ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8'], settings);
  const port = await freePort();
  const options = ['-D', data, '-p', port, '-h', '127.0.0.1', '-k', folder];
  const server = await start(program, port, options, user, 'SIGINT');
  return { ...server, place: `postgres://postgres@127.0.0.1:${port}/postgres` };
}

/**
 * @param {string} program
 * @param {number} port
 * @param {(string | number)[]} options
 * @param {{ uid: number, gid: number }} [user]
 * @param {NodeJS.Signals} [signal] ends it in order
 */
async function start(program, port, options, user, signal = 'SIGTERM') {
  const child = spawn(program, options.map(String), { stdio: 'ignore', ...user });
  const exited = once(child, 'exit');
  exited.catch(() => {});
  const deadline = performance.now() + START_LIMIT_MS;
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error(`${program} ended with exit code ${child.exitCode}`);
    if (performance.now() > deadline) throw new Error(`${program} did not start in time`);
    await delay(50);
  }
  const stop = async () => {
    child.kill(signal);
    const kill = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
    await exited;
    clearTimeout(kill);
  };
  return { place: port, stop };
}

async function answers(port) {
  const socket = connectTcp(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  server.close();
  return port;
}

function find(program) {
  try {
    return execFileSync('which', [program], { encoding: 'utf8', env: { ...process.env, PATH } }).trim();
  } catch {
    return undefined;
  }
}

/** Debian keeps the programs of each version of PostgreSQL in a folder of its own. */
function postgresProgram(name) {
  try {
    const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
    return find(`/usr/lib/postgresql/${versions[0]}/bin/${name}`) ?? find(name);
  } catch {
    return find(name);
  }
}

function idsOf(user) {
  const id = (flag) => Number(execFileSync('id', [flag, user], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

function versionOf(program, options, pattern, name) {
  const path = program === undefined ? undefined : find(program);
  if (path === undefined) return undefined;
  const version = pattern.exec(execFileSync(path, options, { encoding: 'utf8' }))?.[1];
  return `${name} ${version}`;
}
