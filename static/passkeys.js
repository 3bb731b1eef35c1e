// Passkeys: a button asks the browser for one, and sends what it answers with the button's form. `data-passkey` is where
// the server says what is to be signed, `data-makes-passkey` what is to be made. Without passkeys, or at another address
// than they are made for, the buttons stay hidden (app.css) and every form works by a password.
(() => {
  'use strict';
  const home = document.querySelector('meta[name=passkeys]')?.content;
  const isHere = document.documentElement.classList.contains('passkeys');   // already: what opens over a page brings it along
  if (!globalThis.PublicKeyCredential || home !== location.origin || isHere) return;
  document.documentElement.classList.add('passkeys');

  // The browser's own reading and writing of JSON, and what it does, for browsers without.
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (sign) => sign.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const described = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));
  const toMake = (said) => PublicKeyCredential.parseCreationOptionsFromJSON?.(said) ?? { ...said, challenge: bytes(said.challenge),
    user: { ...said.user, id: bytes(said.user.id) }, excludeCredentials: described(said.excludeCredentials) };
  const toUse = (said) => PublicKeyCredential.parseRequestOptionsFromJSON?.(said) ?? { ...said, challenge: bytes(said.challenge),
    allowCredentials: described(said.allowCredentials) };
  const PARTS = ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle'];
  const asJson = (found) => {
    try { return JSON.stringify(found.toJSON()); } catch { /* no such method, or a password manager's own object */ }
    const parts = PARTS.filter((name) => found.response[name]).map((name) => [name, text(found.response[name])]);
    const response = { ...Object.fromEntries(parts), transports: found.response.getTransports?.() ?? [] };
    return JSON.stringify({ id: found.id, rawId: text(found.rawId), type: found.type, response });
  };

  const asked = async (url, signal) => {
    const token = document.querySelector('meta[name=csrf-token]').content;
    const answer = await fetch(url, { method: 'POST', headers: { 'X-CSRFToken': token }, signal });
    if (!answer.ok) throw new Error('Dataelan did not answer. Reload the page and try again.');
    return toUse(await answer.json());
  };
  const send = (form, found) => {
    form.elements.credential.value = asJson(found);
    form.requestSubmit();
  };
  const WORDS = { NotAllowedError: 'It was cancelled, took too long, or there is no passkey here. Try again.',
    AbortError: '', InvalidStateError: 'This device has a passkey of yours already.',
    NotSupportedError: 'This device cannot keep such a passkey. Try another one.' };
  const say = (form, words) => {
    const place = form.querySelector('[data-passkey-says]');
    if (place) Object.assign(place, { textContent: words, hidden: !words });
  };

  let waiting;                                                // for a passkey that is chosen in the field of the address
  const stopWaiting = () => { waiting?.abort(); waiting = undefined; };
  const ceremony = async (button) => {
    const form = button.form, made = button.dataset.makesPasskey;
    if (made && !form.reportValidity()) return;
    stopWaiting();
    say(form, '');
    button.disabled = true;
    try {
      send(form, made ? await navigator.credentials.create({ publicKey: toMake(JSON.parse(made)) })
        : await navigator.credentials.get({ publicKey: await asked(button.dataset.passkey) }));
    } catch (error) {
      say(form, WORDS[error.name] ?? error.message);
    } finally { button.disabled = false; }
  };
  document.addEventListener('click', (event) => {
    const button = event.target.closest?.('[data-passkey], [data-makes-passkey]');
    if (button) ceremony(button);
  });

  // Where the browser can, passkeys are offered in the field of the address. What is to be signed counts for five
  // minutes, so it is asked for anew before.
  const ANEW = 4 * 60 * 1000;
  const offer = async (form) => {
    waiting = new AbortController();
    const { signal } = waiting, again = setTimeout(() => { stopWaiting(); offer(form); }, ANEW);
    signal.addEventListener('abort', () => clearTimeout(again));
    try {
      const publicKey = await asked(form.querySelector('[data-passkey]').dataset.passkey, signal);
      send(form, await navigator.credentials.get({ mediation: 'conditional', signal, publicKey }));
    } catch (error) { if (error.name !== 'AbortError') clearTimeout(again); }
  };
  const form = document.querySelector('[data-offers-passkeys]');
  if (form) PublicKeyCredential.isConditionalMediationAvailable?.().then((can) => { if (can && !waiting) offer(form); });
})();
