// The Vercel AI SDK against a running Dataelan, asked for a simulated model in one of the forms that it speaks:
//     node tests/ai_sdk.mjs http://127.0.0.1:8000 dlan_… responses
// Its packages are found by NODE_PATH. It says in JSON what failed, and why; or, with status 3, what is not installed.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [url, token, form] = process.argv.slice(2);
const find = createRequire(import.meta.url);
const load = (name) => import(pathToFileURL(find.resolve(name)).href);
const PACKAGES = ['ai', '@ai-sdk/openai', '@ai-sdk/openai-compatible', '@ai-sdk/anthropic', '@ai-sdk/google'];
for (const name of PACKAGES) {
  try { find.resolve(name); } catch {
    console.log(name);
    process.exit(3);
  }
}
globalThis.AI_SDK_LOG_WARNINGS = false;
const [ai, { createOpenAI }, { createOpenAICompatible }, { createAnthropic }, { createGoogleGenerativeAI }] =
  await Promise.all(PACKAGES.map(load));
const { generateText, streamText, generateObject, streamObject, embedMany, jsonSchema } = ai;

const v1 = (apiKey) => ({ baseURL: `${url}/v1`, apiKey });
const FORMS = {
  responses: (key) => createOpenAI(v1(key)),
  chat: (key) => createOpenAI(v1(key)).chat,
  compatible: (key) => createOpenAICompatible(
    { ...v1(key), name: 'ours', includeUsage: true, supportsStructuredOutputs: true }),
  anthropic: (key) => createAnthropic(v1(key)),
  google: (key) => createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key }),
};
const named = FORMS[form], model = named(token)('simulated-instant');
const asked = (prompt, more = {}) => ({ model, prompt, maxRetries: 0, onError() {}, ...more });
const of = (properties) => jsonSchema(
  { type: 'object', properties, required: Object.keys(properties), additionalProperties: false });
const NUMBER = of({ answer: { type: 'integer' } });
const get_weather = ai.tool(
  { description: 'The weather', inputSchema: of({ city: { type: 'string' } }), execute: async () => '18 degrees' });
const WEATHER = { tools: { get_weather }, stopWhen: ai.stepCountIs(3) };
const QUESTION = 'What is a token?', OF_ROME = 'What is the weather in Rome?', WHY = '!simulate reasoning=5\nWhy?';
const DOT = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=';

function ok(is, ...said) { if (!is) throw new Error(JSON.stringify(said)); }
async function parts(stream) {
  const found = [];
  for await (const part of stream.fullStream) found.push(part);
  return found;
}
const joined = (all, type) => all.filter((part) => part.type === type).map((part) => part.text).join('');

const TRIED = {
  async text() {
    const answer = await generateText(asked(QUESTION, { system: 'Be brief.' }));
    ok(answer.text.includes('token') && answer.finishReason === 'stop' && answer.usage.totalTokens > 0, answer.text);
    const cut = await generateText(asked(QUESTION, { maxOutputTokens: 3 }));
    ok(cut.finishReason === 'length', cut.finishReason);
  },
  async streaming() {
    const whole = await generateText(asked(QUESTION)), stream = streamText(asked(QUESTION)), all = await parts(stream);
    ok(joined(all, 'text-delta') === whole.text, joined(all, 'text-delta'), whole.text);
    ok((await stream.usage).totalTokens === whole.usage.totalTokens, await stream.usage, whole.usage);
    ok(all.filter((part) => part.type === 'text-delta').length > 2, 'pieces');
  },
  async thoughts() {
    if (form === 'chat') return;  // OpenAI's own chat has none, and its package reads none
    const whole = await generateText(asked(WHY)), all = await parts(streamText(asked(WHY)));
    ok(whole.reasoningText && whole.reasoningText === joined(all, 'reasoning-delta'), whole.reasoningText);
  },
  async tools() {
    const answer = await generateText(asked(OF_ROME, WEATHER));
    ok(answer.steps.length === 2 && answer.text.includes('18 degrees'), answer.steps.length, answer.text);
    ok(answer.steps[0].finishReason === 'tool-calls' && 'city' in answer.steps[0].toolCalls[0].input, answer.steps[0]);
    const stream = streamText(asked(OF_ROME, WEATHER)), all = await parts(stream);
    ok(joined(all, 'text-delta') === answer.text, joined(all, 'text-delta'));
    const silent = await generateText(asked(OF_ROME, { ...WEATHER, toolChoice: 'none' }));
    ok(silent.toolCalls.length === 0, silent.toolCalls);
  },
  async conversation() {
    for (const [question, more] of [[OF_ROME, WEATHER], [WHY, {}]]) {
      const before = (await generateText(asked(question, more))).response.messages;
      const messages = [{ role: 'user', content: question }, ...before, { role: 'user', content: QUESTION }];
      const answer = await generateText({ ...more, model, messages, maxRetries: 0 });
      const alone = await generateText(asked(QUESTION, more));
      ok(answer.usage.inputTokens > alone.usage.inputTokens + 20, answer.usage, alone.usage);
    }
  },
  async schema() {
    ok(Number.isInteger((await generateObject(asked(QUESTION, { schema: NUMBER }))).object.answer), 'whole');
    const stream = streamObject(asked(QUESTION, { schema: NUMBER }));
    for await (const part of stream.partialObjectStream) ok(part, 'part');
    ok(Number.isInteger((await stream.object).answer), 'streamed');
  },
  async files() {
    const shown = { type: 'image', image: Buffer.from(DOT, 'base64') };
    const read = { type: 'file', data: Buffer.from('%PDF-1.4'), mediaType: 'application/pdf' };
    const content = [{ type: 'text', text: 'What is this?' }, shown, read];
    ok((await generateText({ model, messages: [{ role: 'user', content }], maxRetries: 0 })).text, 'text');
  },
  async errors() {
    const wrong = [
      [401, { model: named('dlan_x')('simulated-instant') }], [404, { model: named(token)('none') }],
      [400, { topP: 3 }], [429, { prompt: '!simulate fail=rate_limit\nHi' }],
      [503, { prompt: '!simulate fail=server_error\nHi' }],
    ];
    for (const [status, more] of wrong) {
      const error = await generateText(asked(QUESTION, more)).then(() => null, (raised) => raised);
      const is = error?.statusCode === status && error.isRetryable === status >= 429;
      ok(is, status, error?.statusCode, error?.message);
      ok(/token|model|top|rate limit|server/i.test(error.message), error.message);
    }
    const all = await parts(streamText(asked('!simulate tokens=20 fail=error_in_stream after=3\nHi')));
    ok(joined(all, 'text-delta') && all.some((part) => part.type === 'error'), all.map((part) => part.type));
  },
  async media() {
    if (form !== 'responses') return;
    const openai = createOpenAI(v1(token)), once = { maxRetries: 0 };
    const vectors = await embedMany({ model: openai.embedding('simulated-vectors'), values: ['one', 'two'], ...once });
    ok(vectors.embeddings.length === 2 && vectors.embeddings[0].length > 3, 'vectors');
    const draw = ai.generateImage ?? ai.experimental_generateImage;
    const made = await draw({ model: openai.image('simulated-image'), prompt: 'A red house', ...once });
    ok(made.image.mediaType === 'image/png', made.image.mediaType);
    const voice = openai.speech('simulated-voice');
    const said = await ai.experimental_generateSpeech({ model: voice, text: 'Hello', outputFormat: 'wav', ...once });
    const ear = openai.transcription('simulated-ear');
    ok((await ai.experimental_transcribe({ model: ear, audio: said.audio.uint8Array, ...once })).text, 'text');
  },
};

const failed = {};
for (const [what, attempt] of Object.entries(TRIED)) {
  try { await attempt(); } catch (error) { failed[what] = `${error.message} ${error.responseBody ?? ''}`; }
}
console.log(JSON.stringify(failed));
