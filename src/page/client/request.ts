/** Requests that change something. */
import { base } from './visit.js';

/** Rejects with the server's error, or with what is known if the server does not respond. */
export async function post(path: string, body: object): Promise<Record<string, unknown>> {
  let response: Response;
  try {
    response = await fetch(`${base}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-millrace-page': '1' },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error(
      'The server is not responding. The action may or may not have been carried out; check the log.',
    );
  }
  const answer = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  if (response.ok) return answer;
  throw new Error(
    typeof answer.error === 'string' ? answer.error : `The server responded with HTTP ${response.status}.`,
  );
}
