// What differs between products. The colors are at the top of page.css.
export const config = {
  product: "Example App",
  /** An image beside this file, such as "logo.svg", or null for the key. */
  logo: null,
  /** The URL of the API: the stack's output ApiUrl. */
  api: "https://….execute-api.eu-central-1.amazonaws.com",
  /** The address of this page, as the template's parameter ResetUrls has it. */
  resetUrl: "https://app.example.com/password/reset",
  /** The page where people sign in. */
  signIn: "https://app.example.com/sign-in",
  /** The template's parameters PasswordMinLength and TokenLifetimeMinutes. */
  minLength: 8,
  linkMinutes: 60,
};
