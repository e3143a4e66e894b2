// Signs in with every factor and renews the tokens: what a front end needs, in the types that openapi-typescript makes.
import createClient from "openapi-fetch";
import type { components, paths } from "./public.js";

type Tokens = components["schemas"]["Tokens"];
type SecondStep = components["schemas"]["MFARequiredProblem"];

export const connect = (baseUrl: string) => createClient<paths>({ baseUrl });
export type Api = ReturnType<typeof connect>;

export async function signIn(api: Api, email: string, password: string, askCode: () => Promise<string>): Promise<Tokens> {
  const { data, error } = await api.POST("/v1/auth/login", { body: { email, password } });
  if (data) return data;
  switch (error.code) {
    case "mfa_required":
      return secondStep(api, error, askCode);
    case "validation_error":
      throw new Error(error.errors.map(({ field, detail }) => `${field}: ${detail}`).join("\n"));
    default:
      throw new Error(error.detail);
  }
}

async function secondStep(api: Api, { mfa_token, methods }: SecondStep, askCode: () => Promise<string>): Promise<Tokens> {
  const proof = methods.includes("passkey")
    ? { credential: await passkey(api, mfa_token) }
    : { code: await askCode() };
  const { data, error } = await api.POST("/v1/auth/login/mfa", { body: { mfa_token, ...proof } });
  if (error) throw new Error(error.detail);
  return data;
}

export async function signInWithPasskey(api: Api): Promise<Tokens> {
  const { data, error } = await api.POST("/v1/auth/passkey/login", { body: { credential: await passkey(api) } });
  if (error) throw new Error(error.detail);
  return data;
}

async function passkey(api: Api, mfa_token?: string): Promise<Record<string, unknown>> {
  const { data, error } = await api.POST("/v1/auth/passkey/options", { body: { mfa_token } });
  if (error) throw new Error(error.detail);
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(data as unknown as PublicKeyCredentialRequestOptionsJSON);
  const credential = (await navigator.credentials.get({ publicKey })) as PublicKeyCredential;
  return credential.toJSON();
}

export async function refresh(api: Api, { refresh_token }: Tokens): Promise<Tokens> {
  const { data, error } = await api.POST("/v1/auth/refresh", { body: { refresh_token } });
  if (error) throw new Error(error.code === "refresh_token_reused" ? "Signed out: the token was used twice." : error.detail);
  return data;
}
