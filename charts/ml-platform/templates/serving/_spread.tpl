{{/* Spread over a topology, each ReplicaSet for itself. Nodes that no pod may use (cordoned, dead, control plane) do not
     count: else nothing could replace what was there. (list $ key whenUnsatisfiable) */}}
{{- define "mlplat.serving.spread" -}}
- topologyKey: {{ index . 1 }}
  maxSkew: 1
  whenUnsatisfiable: {{ index . 2 }}
  nodeTaintsPolicy: Honor
  labelSelector:
    matchLabels:
      {{- include "mlplat.selector" (list (index . 0) "inference-server") | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end -}}
