// The form that tries a call of the gateway: as a program would, with a token that stays in this page.
(() => {
  'use strict';
  const form = document.querySelector('form[data-try]');
  if (!form) return;
  const box = document.querySelector('[data-try-answer]');
  const [facts, text] = ['facts', 'text'].map((name) => box.querySelector(`[data-try-${name}]`));
  const [state, stop] = ['state', 'stop'].map((name) => form.querySelector(`[data-try-${name}]`));
  const error = document.getElementById('try-error');
  let running = null;

  const fill = () => {
    const example = form.call.selectedOptions[0].dataset.example;
    form.body.value = example;
    form.body.disabled = !example;
    say('');
  };
  const say = (words) => {
    error.textContent = words;
    error.hidden = !words;
  };
  const fact = (name, value) => {
    const term = document.createElement('dt');
    const told = document.createElement('dd');
    term.textContent = name;
    told.textContent = value;
    facts.append(term, told);
  };
  const pretty = (said) => {
    try {
      return JSON.stringify(JSON.parse(said), (key, value) => (typeof value === 'string' && value.length > 5000 ? `${value.slice(0, 200)}… (${value.length} characters)` : value), 2);
    } catch {
      return said;
    }
  };
  const read = async (response) => {
    const type = response.headers.get('content-type') || '';
    if (type.startsWith('audio/')) {
      const size = (await response.arrayBuffer()).byteLength;
      text.textContent = `${type}, ${size.toLocaleString()} bytes. The sound is with its run.`;
      return;
    }
    if (!type.startsWith('text/event-stream')) {
      text.textContent = pretty(await response.text());
      return;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) text.append(piece.value);
  };
  const send = async () => {
    const [method, address] = form.call.value.split(' ');
    const body = method === 'POST' ? form.body.value : undefined;
    facts.replaceChildren();
    text.textContent = '';
    state.textContent = '';
    try {
      if (body) JSON.parse(body);
    } catch (problem) {
      box.hidden = true;                                                   // what stood there answered another body
      say(`This is no JSON: ${problem.message}`);
      form.body.focus();
      return;
    }
    say('');
    running = new AbortController();
    stop.hidden = false;
    state.textContent = 'Waiting …';
    const began = performance.now();
    try {
      const headers = { Authorization: `Bearer ${form.token.value.trim()}`, 'Content-Type': 'application/json' };
      const response = await fetch(address, { method, body, headers, signal: running.signal, credentials: 'omit' });
      box.hidden = false;
      fact('Status', `${response.status} ${response.statusText}`.trim());
      [...response.headers].filter(([name]) => name.startsWith('x-dataelan-')).forEach(([name, value]) => fact(name, value));
      await read(response);
      state.textContent = `${Math.round(performance.now() - began)} ms`;
    } catch (problem) {
      state.textContent = problem.name === 'AbortError' ? 'Stopped.' : `It did not come: ${problem.message}`;
    } finally {
      running = null;
      stop.hidden = true;
    }
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!running) send();
  });
  stop.addEventListener('click', () => running?.abort());
  form.call.addEventListener('change', fill);
  fill();
})();
