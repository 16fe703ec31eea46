{{/* Name resolution. Policies are judged by the pod that a Service leads to, so any port of the DNS pods is allowed. */}}
{{- define "mlplat.egress.dns" -}}
- to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
{{- end -}}

{{/* The object store, and the addresses that its credentials come from. */}}
{{- define "mlplat.egress.store" -}}
{{- with .Values.policies.networkPolicy -}}
{{- if and $.Values.store.url (not (hasPrefix "file:" $.Values.store.url)) -}}
- ports:
    {{- range .storePorts }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with .storeTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- with .identityCIDRs }}
- to:
    {{- range . }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
{{- end }}
{{- with .extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
{{- end -}}
