// Every text of the page, by language. A text with a variable part is a function. `{email}` stands for the address.

const en = {
  dir: "ltr",
  title: { forgot: "Forgot your password?", sent: "Check your inbox", reset: "Set a new password",
    done: "Your password has been changed", bad: "This link no longer works" },
  forgotIntro: "Enter your email address, and we will send you a link to set a new password.",
  email: "Email address",
  send: "Send reset link",
  sending: "Sending…",
  backToSignIn: "Back to sign-in",
  sentIntro: (lifetime) =>
    `If an account exists for {email}, you will receive an email with a reset link. The link works for ${lifetime}.`,
  sentSpam: "No email? Check your spam folder.",
  sendAgain: "Send again",
  sendAgainIn: (time) => `Send again in ${time}`,
  sentAgain: "If an account exists for this address, another email is on its way.",
  otherAddress: "Use a different address",
  account: "Account",
  password: "New password",
  passwordHint: (min) => `At least ${min} characters.`,
  confirmation: "Confirm new password",
  showPassword: "Show password",
  save: "Save new password",
  saving: "Saving…",
  doneIntro:
    "Sign in with your new password. Other reset links no longer work. We are sending a confirmation to {email}.",
  signIn: "Sign in",
  bad: {
    bad_token: "It has already been used, has expired, or stopped working when your password was changed.",
    incomplete: "Open the link in the email again, or copy the whole link.",
    damaged: "Open the link in the email again, or copy the whole link.",
    reloaded: "Open the link in your email again. For your security, this page does not store it.",
  },
  badTitle: { incomplete: "This link is incomplete", damaged: "This link is damaged",
    reloaded: "Open the link again" },
  newLink: "Send a new link",
  errors: {
    required: "Fill in this field.",
    not_an_address: "Enter an email address, like ada@example.com.",
    not_allowed: "This password has a character that cannot be stored. Choose a different password.",
    too_short: ({ min_length: min }) =>
      min ? `Use at least ${min} characters.` : "This password is too short. Choose a longer password.",
    too_long: ({ max_length: max, max_bytes: bytes }) =>
      max ? `Use at most ${max} characters.`
        : bytes ? `Use at most ${bytes} characters. Letters with accents and emoji count for more.`
          : "This password is too long. Choose a shorter password.",
    too_weak: "This password is too easy to guess. Choose a different password.",
    made_of_context: "Do not base your password on your email address or the name of this service.",
    leaked: "This password has appeared in a data breach. Choose a different password.",
    used_before: "You used this password before. Choose a different password.",
    not_the_same: "The passwords do not match.",
  },
  tooMany: (when) => `Too many attempts. Try again ${when}.`,
  unavailable: (when) => `We can't do this right now. Try again ${when}.`,
  serverError: "Something went wrong on our end. Try again later.",
  pageError: "Something went wrong on this page. Reload it and try again.",
  noResponse: "The server did not respond. Check your connection and try again.",
  noResponseReset:
    "The server did not respond. We don't know whether your password was changed. Check your connection and try again.",
  unavailableReset: (when) =>
    `We don't know whether your password was changed. Try again ${when}. ` +
    "If the link no longer works then, sign in with the new password.",
  soon: "in a moment",
};

const de = {
  dir: "ltr",
  title: { forgot: "Passwort vergessen?", sent: "Prüfen Sie Ihren Posteingang", reset: "Neues Passwort festlegen",
    done: "Ihr Passwort wurde geändert", bad: "Dieser Link funktioniert nicht mehr" },
  forgotIntro:
    "Geben Sie Ihre E-Mail-Adresse ein. Wir senden Ihnen einen Link, mit dem Sie ein neues Passwort festlegen können.",
  email: "E-Mail-Adresse",
  send: "Link senden",
  sending: "Wird gesendet …",
  backToSignIn: "Zurück zur Anmeldung",
  sentIntro: (lifetime) =>
    `Wenn es ein Konto für {email} gibt, erhalten Sie eine E-Mail mit einem Link. Der Link ist ${lifetime} gültig.`,
  sentSpam: "Keine E-Mail erhalten? Sehen Sie in Ihrem Spam-Ordner nach.",
  sendAgain: "Erneut senden",
  sendAgainIn: (time) => `Erneut senden in ${time}`,
  sentAgain: "Wenn es ein Konto für diese Adresse gibt, ist eine weitere E-Mail unterwegs.",
  otherAddress: "Andere Adresse verwenden",
  account: "Konto",
  password: "Neues Passwort",
  passwordHint: (min) => `Mindestens ${min} Zeichen.`,
  confirmation: "Neues Passwort wiederholen",
  showPassword: "Passwort anzeigen",
  save: "Neues Passwort speichern",
  saving: "Wird gespeichert …",
  doneIntro:
    "Melden Sie sich mit Ihrem neuen Passwort an. Andere Links funktionieren nicht mehr. " +
    "Wir senden eine Bestätigung an {email}.",
  signIn: "Anmelden",
  bad: {
    bad_token: "Er wurde bereits verwendet, ist abgelaufen oder wurde durch eine Änderung Ihres Passworts ungültig.",
    incomplete: "Öffnen Sie den Link noch einmal in der E-Mail, oder kopieren Sie ihn vollständig.",
    damaged: "Öffnen Sie den Link noch einmal in der E-Mail, oder kopieren Sie ihn vollständig.",
    reloaded: "Öffnen Sie den Link in Ihrer E-Mail noch einmal. Zu Ihrer Sicherheit speichert diese Seite ihn nicht.",
  },
  badTitle: { incomplete: "Dieser Link ist unvollständig", damaged: "Dieser Link ist beschädigt",
    reloaded: "Öffnen Sie den Link noch einmal" },
  newLink: "Neuen Link senden",
  errors: {
    required: "Füllen Sie dieses Feld aus.",
    not_an_address: "Geben Sie eine E-Mail-Adresse ein, zum Beispiel ada@example.com.",
    not_allowed: "Dieses Passwort enthält ein Zeichen, das nicht gespeichert werden kann. Wählen Sie ein anderes.",
    too_short: ({ min_length: min }) =>
      min ? `Verwenden Sie mindestens ${min} Zeichen.` : "Dieses Passwort ist zu kurz. Wählen Sie ein längeres.",
    too_long: ({ max_length: max, max_bytes: bytes }) =>
      max ? `Verwenden Sie höchstens ${max} Zeichen.`
        : bytes ? `Verwenden Sie höchstens ${bytes} Zeichen. Umlaute, Buchstaben mit Akzent und Emojis zählen mehrfach.`
          : "Dieses Passwort ist zu lang. Wählen Sie ein kürzeres.",
    too_weak: "Dieses Passwort ist zu leicht zu erraten. Wählen Sie ein anderes.",
    made_of_context: "Verwenden Sie weder Ihre E-Mail-Adresse noch den Namen dieses Dienstes als Passwort.",
    leaked: "Dieses Passwort ist aus einem Datenleck bekannt. Wählen Sie ein anderes.",
    used_before: "Sie haben dieses Passwort schon einmal verwendet. Wählen Sie ein anderes.",
    not_the_same: "Die Passwörter stimmen nicht überein.",
  },
  tooMany: (when) => `Zu viele Versuche. Versuchen Sie es ${when} noch einmal.`,
  unavailable: (when) => `Das ist im Moment nicht möglich. Versuchen Sie es ${when} noch einmal.`,
  serverError: "Bei uns ist ein Fehler aufgetreten. Versuchen Sie es später noch einmal.",
  pageError: "Auf dieser Seite ist ein Fehler aufgetreten. Laden Sie sie neu, und versuchen Sie es noch einmal.",
  noResponse: "Der Server antwortet nicht. Prüfen Sie Ihre Internetverbindung, und versuchen Sie es noch einmal.",
  noResponseReset:
    "Der Server antwortet nicht. Wir wissen nicht, ob Ihr Passwort geändert wurde. " +
    "Prüfen Sie Ihre Internetverbindung, und versuchen Sie es noch einmal.",
  unavailableReset: (when) =>
    `Wir wissen nicht, ob Ihr Passwort geändert wurde. Versuchen Sie es ${when} noch einmal. ` +
    "Funktioniert der Link dann nicht mehr, melden Sie sich mit dem neuen Passwort an.",
  soon: "in Kürze",
};

export const byLanguage = { en, de };

/** The first of the browser's languages that has texts, otherwise English. */
export const language = navigator.languages
  .map((tag) => tag.toLowerCase().split("-")[0])
  .find((tag) => tag in byLanguage) ?? "en";

export const texts = byLanguage[language];

/** Formats a number of minutes, such as "90 minutes", or "2 hours" for whole hours. */
export function duration(minutes) {
  const [value, unit] = minutes % 60 === 0 ? [minutes / 60, "hour"] : [minutes, "minute"];
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(value);
}

/** Formats a time until a retry, such as "in 30 seconds" or "in 2 minutes". */
export function soon(seconds) {
  if (!(seconds > 0)) return texts.soon;
  const format = new Intl.RelativeTimeFormat(language);
  return seconds < 100 ? format.format(seconds, "second") : format.format(Math.ceil(seconds / 60), "minute");
}
